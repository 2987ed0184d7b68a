"""What a job does, step by step, in a process of its own. Import-free: the Celery side imports `protocol` from here."""
