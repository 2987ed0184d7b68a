"""Sees a job through without doing its work: claims it, starts its process, keeps the lease, records the end.

Runs inside Celery and imports no numerics. `crew` claims, `attempt` sees one attempt through, `heartbeat` keeps the
lease, `job_process` is the process that does the work, `record` writes how it ended.
"""
