"""Namespaces of a process's own: no network, no shared memory of others, and nothing to write to but what is named."""

import os
import struct

from workers.sandbox import kernel

USER_INSIDE = 1000
"""Not root: the first program that is started then has no capabilities."""
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
MOUNT_ATTR_RDONLY = 1


def enter_namespaces(writable: list[str]) -> None:
    """Leave those of the others. Raises OSError where the system does not let ordinary users do this."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(
        kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    )
    _write("/proc/self/setgroups", b"deny")
    _write("/proc/self/uid_map", f"{USER_INSIDE} {user} 1".encode())
    _write("/proc/self/gid_map", f"{USER_INSIDE} {group} 1".encode())
    kernel.mount(None, "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    _make_read_only_but(writable)


def _make_read_only_but(writable: list[str]) -> None:
    here = os.getcwd()  # noqa: PTH109  see `kernel`
    for path in writable:
        kernel.mount(path, path, flags=kernel.MS_BIND | kernel.MS_REC)
    _change_mount("/", set_bits=MOUNT_ATTR_RDONLY)
    for path in writable:
        _change_mount(path, clear_bits=MOUNT_ATTR_RDONLY)
    os.chdir(here)  # onto the mount that was put over it


def _change_mount(path: str, *, set_bits: int = 0, clear_bits: int = 0) -> None:
    attributes = struct.pack("QQQQ", set_bits, clear_bits, 0, 0)
    kernel.syscall(
        f"mount_setattr {path}", MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), AT_RECURSIVE, attributes, len(attributes)
    )


def _write(path: str, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)
