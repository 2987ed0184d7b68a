"""What wraps every request, outermost first: `request_log`, `host_check`, `app.auth.gate`, `app.rate_limit.middleware`,
`quick_status`, `body_limit`, `strict_json`.
"""
