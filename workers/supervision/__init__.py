"""Sees a job through without doing its work: claims it, starts its process, keeps the lease, records the end.

Runs inside Celery and imports no numerics. `crew` claims; `attempt` sees one attempt through and knows all its ends;
`held_job` is the job under its lease, which `heartbeat` keeps; `process_work` brings what is in the `brief` and listens
to the job's `process`, whose bounds are beside it; `record` writes how it ended. What differs from one kind of job to
another, and how a result is kept, is in `kinds`.
"""
