"""System calls that Python does not offer, each an OSError with its name when it fails.

This module, and those that `launch` imports, do without `pathlib`, `enum` and the like: loading them would take longer
than all the rest of that program's work, before every job.
"""

import ctypes
import os

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int) -> int:
    given = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked("prctl", _libc.prctl(option, *given))


def syscall(name: str, number: int, *arguments: int | bytes | None) -> int:
    """`arguments` are integers, bytes in memory, or None for a null pointer."""
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *given))


def unshare(flags: int) -> None:
    _checked("unshare", _libc.unshare(flags))


def mount(source: str | None, target: str, *, flags: int) -> None:
    names = [None if name is None else os.fsencode(name) for name in (source, target)]
    _checked(f"mount {target}", _libc.mount(*names, None, ctypes.c_ulong(flags), None))


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
