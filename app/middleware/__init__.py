"""What wraps every request, outermost first: `request_log`, `host_check`, `gate`, `rate_limit`, `quick_status`,
`body_limit`, `strict_json`.
"""
