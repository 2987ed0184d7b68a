"""Keeps what a process holds, its keys and passwords, from other processes of the same user."""

import ctypes

PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


def forbid_inspection() -> None:
    """No core file, and /proc/<pid>/environ, mem and fd are for root alone. Children that are forked inherit it."""
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
