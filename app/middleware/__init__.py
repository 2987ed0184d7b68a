"""What wraps every request, outermost first: `request_log`, `host_check`, `app.auth.gate`, `body_limit`."""
