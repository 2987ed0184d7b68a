"""Set when the worker was told to stop. Made before Celery forks, so that all its processes see the same flag."""

import multiprocessing

SHUTDOWN = multiprocessing.get_context("fork").Event()
