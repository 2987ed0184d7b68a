"""The filter of system calls, judged by an interpreter of classic BPF that was written for this test alone."""

import errno
import platform
import struct
from typing import NamedTuple

import pytest

from workers.sandbox.denied_calls import FIRST_UNKNOWN, LOOKED_AT, MEMORY_FILES, REFUSED, WITHOUT_EFFECT
from workers.sandbox.system_calls import ARCHITECTURES, Unsupported, filter_program

ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE, DENY, UNKNOWN, SEEMS_DONE = (FAIL | number for number in (errno.EPERM, errno.EACCES, errno.ENOSYS, 0))

# from the kernel's unistd_64.h and asm-generic/unistd.h
READ, OPENAT, EXECVE, SOCKET, SOCKETPAIR, CLONE, CLONE3, IOCTL, PRLIMIT = (
    {"x86_64": 0, "aarch64": 63},
    {"x86_64": 257, "aarch64": 56},
    {"x86_64": 59, "aarch64": 221},
    {"x86_64": 41, "aarch64": 198},
    {"x86_64": 53, "aarch64": 199},
    {"x86_64": 56, "aarch64": 220},
    {"x86_64": 435, "aarch64": 435},
    {"x86_64": 16, "aarch64": 29},
    {"x86_64": 302, "aarch64": 261},
)
PTRACE, UNSHARE, MOUNT, BPF, CHMOD_AT = (
    {"x86_64": 101, "aarch64": 117},
    {"x86_64": 272, "aarch64": 97},
    {"x86_64": 165, "aarch64": 40},
    {"x86_64": 321, "aarch64": 280},
    {"x86_64": 268, "aarch64": 53},
)

every_machine = pytest.mark.parametrize("machine", ARCHITECTURES)


class Call(NamedTuple):
    number: int
    arguments: tuple[int, ...] = ()
    architecture: int | None = None


def verdict(machine: str, call: Call, *, allow_memory_files: bool = False) -> int:
    """What the kernel's interpreter would return: an accumulator, loads from the call's description, forward jumps."""
    architecture = ARCHITECTURES[machine] if call.architecture is None else call.architecture
    described = struct.pack("=IIQ6Q", call.number, architecture, 0, *(*call.arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("=HBBI", filter_program(machine, allow_memory_files=allow_memory_files)))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        match code:
            case 0x20:  # ld [k]
                (accumulator,) = struct.unpack_from("=I", described, constant)
            case 0x54:  # and #k
                accumulator &= constant
            case 0x06:  # ret #k
                return int(constant)
            case 0x15 | 0x35 | 0x45:  # jeq, jge, jset
                holds = {
                    0x15: accumulator == constant,
                    0x35: accumulator >= constant,
                    0x45: bool(accumulator & constant),
                }[code]
                at += if_true if holds else if_false
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@every_machine
@pytest.mark.parametrize("call", [READ, OPENAT, EXECVE])
def test_ordinary_calls_are_allowed(machine: str, call: dict[str, int]) -> None:
    assert verdict(machine, Call(call[machine])) == ALLOW


@every_machine
@pytest.mark.parametrize("call", [PTRACE, UNSHARE, MOUNT, BPF])
def test_calls_that_reach_further_are_refused(machine: str, call: dict[str, int]) -> None:
    assert verdict(machine, Call(call[machine])) == REFUSE


@every_machine
def test_every_name_of_the_tables_has_its_verdict(machine: str) -> None:
    which = list(ARCHITECTURES).index(machine)
    for table, expected in ((REFUSED, REFUSE), (WITHOUT_EFFECT, SEEMS_DONE)):
        for name, numbers in table.items():
            if numbers[which] is not None:
                assert verdict(machine, Call(numbers[which])) == expected, name


@every_machine
def test_memory_that_no_limit_counts_is_for_the_driver_of_a_gpu_alone(machine: str) -> None:
    which = list(ARCHITECTURES).index(machine)
    for name, numbers in MEMORY_FILES.items():
        number = numbers[which]
        assert number is not None
        assert verdict(machine, Call(number)) == REFUSE, name
        assert verdict(machine, Call(number), allow_memory_files=True) == ALLOW, name


def test_no_number_is_in_the_tables_twice() -> None:
    for which in range(2):
        numbers = [
            n[which] for n in [*REFUSED.values(), *MEMORY_FILES.values(), *WITHOUT_EFFECT.values(), *LOOKED_AT.values()]
        ]
        known = [n for n in numbers if n is not None]
        assert len(known) == len(set(known))


@every_machine
def test_a_change_of_mode_seems_done(machine: str) -> None:
    assert verdict(machine, Call(CHMOD_AT[machine])) == SEEMS_DONE


@every_machine
@pytest.mark.parametrize("family", [1, 2, 10, 16, 17])  # UNIX, INET, INET6, NETLINK, PACKET
def test_there_are_no_sockets(machine: str, family: int) -> None:
    assert verdict(machine, Call(SOCKET[machine], (family, 1, 0))) == DENY


@every_machine
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, 1), ALLOW),  # AF_UNIX, SOCK_STREAM
        ((1, 1 | 0o2000000 | 0o4000), ALLOW),  # with SOCK_CLOEXEC and SOCK_NONBLOCK
        ((1, 5), ALLOW),  # SOCK_SEQPACKET
        ((1, 2), DENY),  # SOCK_DGRAM may be sent from to any address
        ((2, 1), DENY),
    ],
)
def test_only_connected_pairs_are_made(machine: str, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict(machine, Call(SOCKETPAIR[machine], arguments)) == expected


@every_machine
@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_processes_are_forked_but_into_no_new_namespace(machine: str, flag: int) -> None:
    assert verdict(machine, Call(CLONE[machine], (17,))) == ALLOW  # SIGCHLD: a fork
    assert verdict(machine, Call(CLONE[machine], (0x3D0F00,))) == ALLOW  # what glibc asks for a thread
    assert verdict(machine, Call(CLONE[machine], (17 | flag,))) == REFUSE
    assert verdict(machine, Call(CLONE3[machine])) == UNKNOWN


@every_machine
def test_nothing_is_typed_into_a_terminal(machine: str) -> None:
    assert verdict(machine, Call(IOCTL[machine], (0, 0x5412))) == REFUSE
    assert verdict(machine, Call(IOCTL[machine], (0, 0x541C))) == REFUSE
    assert verdict(machine, Call(IOCTL[machine], (0, 0x5413))) == ALLOW  # the size of a window


@every_machine
def test_limits_are_its_own_to_change_and_those_of_others_to_read(machine: str) -> None:
    assert verdict(machine, Call(PRLIMIT[machine], (0, 7, 0x7F00_0000_1000))) == ALLOW
    assert verdict(machine, Call(PRLIMIT[machine], (4711, 7, 0, 0x7F00_0000_1000))) == ALLOW
    assert verdict(machine, Call(PRLIMIT[machine], (4711, 7, 0x1000))) == REFUSE
    assert verdict(machine, Call(PRLIMIT[machine], (4711, 7, 0x7F00_0000_0000))) == REFUSE  # a zero lower half


@every_machine
def test_calls_that_are_newer_than_the_list_are_unknown_and_those_of_x32_too(machine: str) -> None:
    assert verdict(machine, Call(FIRST_UNKNOWN)) == UNKNOWN
    assert verdict(machine, Call(0x4000_0000 + 41)) == UNKNOWN


def test_the_calls_of_another_architecture_end_the_process() -> None:
    assert verdict("x86_64", Call(READ["x86_64"], architecture=0x4000_0003)) == KILL  # i386
    assert verdict("aarch64", Call(READ["aarch64"], architecture=0x4000_0028)) == KILL  # arm


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    with pytest.raises(Unsupported, match="riscv64"):
        filter_program("riscv64")


def test_this_machine_has_one_that_the_kernel_takes() -> None:
    assert len(filter_program(platform.machine())) // 8 <= 4096
