"""Ties a process to the one that starts it: the kernel signals it when its parent is gone, even after a kill -9."""

import ctypes
import os
from collections.abc import Callable

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def set_parent_death_signal(number: int) -> None:
    _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def die_with_parent(number: int) -> Callable[[], None]:
    """For `preexec_fn`, which runs after the change of user that would undo the request."""
    parent = os.getpid()

    def before_exec() -> None:
        set_parent_death_signal(number)
        if os.getppid() != parent:  # it died before the request was made
            os._exit(1)

    return before_exec
