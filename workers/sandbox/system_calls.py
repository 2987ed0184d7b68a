"""The filter of system calls that every level of the sandbox uses.

No socket but a connected pair of streams, so no network of any kind and no server's socket in the file system either:
Landlock does not look at those. No namespaces, no tracing, none of `denied_calls`. A change of a file's mode, owner or
times seems to work and does nothing. What it leaves alone is allowed: it narrows what the other layers leave open, and
is no boundary of its own.
"""

import errno
import platform
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from workers.sandbox.bpf import (
    ALLOW,
    ARCHITECTURE_AT,
    KILL,
    NUMBER_AT,
    Instruction,
    assembled,
    fail_with,
    give,
    if_any_bit,
    if_at_least,
    if_equal,
    keep_bits,
    load,
    load_argument,
    unless_equal,
)
from workers.sandbox.denied_calls import FIRST_UNKNOWN, LOOKED_AT, MEMORY_FILES, REFUSED, WITHOUT_EFFECT, Numbers

ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
AF_UNIX, SOCK_STREAM, SOCK_SEQPACKET, SOCK_KIND_BITS = 1, 1, 5, 0xF
NEW_NAMESPACE_BITS = 0x7E02_0000  # every CLONE_NEW* that clone() knows
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

_REFUSE, _DENY = give(fail_with(errno.EPERM)), give(fail_with(errno.EACCES))
_ALLOW, _UNKNOWN = give(ALLOW), give(fail_with(errno.ENOSYS))

_IF_ABOUT_ITSELF = [*load_argument(0), *if_equal(0, _ALLOW), *_REFUSE]

_BODIES: dict[str, list[Instruction]] = {
    "socket": _DENY,
    "connect": _DENY,  # a pair of datagram sockets could be connected elsewhere
    "socketpair": [
        *load_argument(0),
        *unless_equal(AF_UNIX, _DENY),
        *load_argument(1),
        *keep_bits(SOCK_KIND_BITS),
        *if_equal(SOCK_STREAM, _ALLOW),
        *if_equal(SOCK_SEQPACKET, _ALLOW),
        *_DENY,
    ],
    "clone": [*load_argument(0), *if_any_bit(NEW_NAMESPACE_BITS, _REFUSE), *_ALLOW],
    "clone3": _UNKNOWN,  # its flags lie in memory, where a filter cannot look; everybody falls back to clone()
    "ioctl": [*load_argument(1), *if_equal(TIOCSTI, _REFUSE), *if_equal(TIOCLINUX, _REFUSE), *_ALLOW],
    "prlimit64": [
        *load_argument(0),
        *if_equal(0, _ALLOW),  # itself
        *load_argument(2),
        *unless_equal(0, _REFUSE),  # new limits for another
        *load_argument(2, upper=True),
        *unless_equal(0, _REFUSE),
        *_ALLOW,
    ],
    "sched_setparam": _IF_ABOUT_ITSELF,
    "sched_setscheduler": _IF_ABOUT_ITSELF,
    "sched_setattr": _IF_ABOUT_ITSELF,
}


class Unsupported(OSError):
    """This processor's system calls are not known here."""


@cache
def filter_program(machine: str | None = None, *, allow_memory_files: bool = False) -> bytes:
    """The filter for a machine, this one unless named, as seccomp(2) and `bwrap --seccomp` take it."""
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise Unsupported(errno.ENOSYS, f"no filter of system calls for {machine}")
    refused = REFUSED if allow_memory_files else {**REFUSED, **MEMORY_FILES}
    return assembled(
        [
            *load(ARCHITECTURE_AT),
            *unless_equal(ARCHITECTURES[machine], give(KILL)),
            *load(NUMBER_AT),
            *if_at_least(FIRST_UNKNOWN, _UNKNOWN),  # and the calls of x32, whose numbers begin at 2**30
            *(step for rule in _rules(machine, refused) for step in if_equal(rule.number, rule.body)),
            *_ALLOW,
        ]
    )


class _Rule(NamedTuple):
    number: int
    body: list[Instruction]


def _rules(machine: str, refused: Mapping[str, Numbers]) -> list[_Rule]:
    which = tuple(ARCHITECTURES).index(machine)
    bodies = {name: (numbers, _REFUSE) for name, numbers in refused.items()}
    bodies |= {name: (numbers, give(fail_with(0))) for name, numbers in WITHOUT_EFFECT.items()}
    bodies |= {name: (numbers, _BODIES[name]) for name, numbers in LOOKED_AT.items()}
    found = ((numbers[which], body) for numbers, body in bodies.values())
    return [_Rule(number, body) for number, body in found if number is not None]
