"""Giving up, for good, what a process may do beyond its user's own rights."""

import os
import struct

from workers.sandbox import kernel

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 38, 24, 28
SECUREBITS_ALL_LOCKED = 0x2F  # root gets nothing by being root, now and later; capabilities are not kept
CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x2008_0522


def drop_privileges() -> None:
    """No capabilities, and none to be had from any program that is started. Root stays root in name."""
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    try:
        kernel.prctl(PR_SET_SECUREBITS, SECUREBITS_ALL_LOCKED)
        for capability in range(64):
            kernel.prctl(PR_CAPBSET_DROP, capability)
    except OSError:  # an ordinary user has none to begin with; and the kernel knows less than 64
        pass
    number = CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(f"the system calls of {os.uname().machine} are not known here")
    kernel.syscall("capset", number, struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
