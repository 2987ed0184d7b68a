"""Jobs: Postgres decides, Celery pokes. `lease` holds every change of status; `announce` and `upkeep` only hurry."""
