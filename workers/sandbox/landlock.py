"""Landlock: a process gives up, for good, all files but those below some folders, and TCP, and signals to outsiders.

What the kernel offers depends on its version of the interface: 1 files, 2 moving between folders, 3 truncation, 4 TCP,
5 commands to devices, 6 abstract sockets and signals. See `Documentation/userspace-api/landlock.rst` of the kernel.
"""

import os
import stat
import struct

from workers.sandbox import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
GIVE_VERSION, RULE_PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rest are about folders, and a rule for a plain file must not name them."""

_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_BIND_AND_CONNECT = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def version() -> int:
    """Of the kernel's interface; 0 if there is none."""
    try:
        return kernel.syscall("landlock_create_ruleset", CREATE_RULESET, None, 0, GIVE_VERSION)
    except OSError:
        return 0


def restrict(
    *, readable: list[str], listed: list[str], writable: list[str], changed: list[str], devices: list[str]
) -> None:
    """Keep this process to these paths and what is below them. Needs `no_new_privs`; a missing path is skipped.

    Of `listed` folders the names may be read, and no content; in `changed` ones files may be written, and none made.
    """
    known = version()
    everything = file_rights(known)
    rules = [(path, READ) for path in readable]
    rules += [(path, READ_DIR) for path in listed]
    rules += [(path, everything & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)) for path in writable]
    rules += [(path, READ | WRITE_FILE | TRUNCATE) for path in changed]
    rules += [(path, READ_FILE | WRITE_FILE | IOCTL_DEV) for path in devices]
    denied = _denied(known)
    ruleset = kernel.syscall("landlock_create_ruleset", CREATE_RULESET, denied, len(denied), 0)
    for path, rights in rules:
        _allow(ruleset, path, rights & everything)
    kernel.syscall("landlock_restrict_self", RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def file_rights(known: int) -> int:
    """Every right about files that a version of the interface can take away."""
    return max((rights for since, rights in _FILE_RIGHTS.items() if since <= known), default=0)


def _denied(known: int) -> bytes:
    """What is taken away where no rule gives it back: files, and from some versions on TCP and talk to outsiders."""
    fields = [file_rights(known)]
    if known >= 4:
        fields.append(_TCP_BIND_AND_CONNECT)
    if known >= 6:
        fields.append(_ABSTRACT_SOCKETS_AND_SIGNALS)
    return struct.pack(f"{len(fields)}Q", *fields)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        kernel.syscall("landlock_add_rule", ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
