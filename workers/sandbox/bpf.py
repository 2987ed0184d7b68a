"""A tiny assembler for the filters that the kernel runs before each system call (classic BPF, see seccomp(2)).

Every rule is a jump over its own body, and every body ends by returning a verdict: so no rule needs to know another's
place, and offsets are lengths of lists.
"""

import struct
from collections.abc import Iterable

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, constant"""

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x35, 0x45

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000

NUMBER_AT, ARCHITECTURE_AT = 0, 4


def fail_with(errno: int) -> int:
    """The verdict by which a call is not made and returns this error; with 0 it seems to have worked."""
    return 0x0005_0000 | errno


def give(verdict: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, verdict)]


def load(offset: int) -> list[Instruction]:
    return [(_LOAD, 0, 0, offset)]


def load_argument(index: int, *, upper: bool = False) -> list[Instruction]:
    """The lower half of an argument of 64 bits, or its upper half; both architectures are little-endian."""
    return load(16 + 8 * index + 4 * upper)


def keep_bits(mask: int) -> list[Instruction]:
    return [(_AND, 0, 0, mask)]


def if_equal(value: int, body: list[Instruction]) -> list[Instruction]:
    return [(_IF_EQUAL, 0, len(body), value), *body]


def unless_equal(value: int, body: list[Instruction]) -> list[Instruction]:
    return [(_IF_EQUAL, len(body), 0, value), *body]


def if_at_least(value: int, body: list[Instruction]) -> list[Instruction]:
    return [(_IF_AT_LEAST, 0, len(body), value), *body]


def if_any_bit(mask: int, body: list[Instruction]) -> list[Instruction]:
    return [(_IF_ANY_BIT, 0, len(body), mask), *body]


def assembled(instructions: Iterable[Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
