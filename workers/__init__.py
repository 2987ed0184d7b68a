"""Celery workers. `tasks` -> `pipeline` -> `quantization` and `targets`. Import-free, so that each room stays light."""
