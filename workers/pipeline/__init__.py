"""What a job does, step by step, in a process of its own. The Celery side imports nothing of it."""
