"""What operators see: metrics for Prometheus, ids that join log lines, and traces when they are configured.

`instruments` counts what this process does; `database_state` and `finished_jobs` read the rest from the database when
somebody scrapes; `exposition` puts both on one page. `correlation` carries ids from a request to the worker, `tracing`
spans.
"""
