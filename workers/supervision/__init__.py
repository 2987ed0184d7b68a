"""Sees a job through without doing its work: claims it, starts its process, keeps the lease, records the end.

Runs inside Celery and imports no numerics. `crew` claims; `attempt` sees one attempt through and knows all its ends;
`held_job` is the job under its lease, which `heartbeat` keeps; `process_work` brings the inputs and listens to the
`job_process`, which `process_tree`, `limits` and `stall` hold to its bounds; `record` writes how it ended.
"""
