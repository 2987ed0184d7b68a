"""Set when the worker was told to stop. Made before Celery forks, so that all its processes see the same byte.

A byte and no lock: a child that is killed must not be able to take the flag with it.
"""

import multiprocessing.sharedctypes


class Flag:
    def __init__(self) -> None:
        self._byte = multiprocessing.sharedctypes.RawValue("b", 0)

    def set(self) -> None:
        self._byte.value = 1

    def is_set(self) -> bool:
        return bool(self._byte.value)


SHUTDOWN = Flag()
