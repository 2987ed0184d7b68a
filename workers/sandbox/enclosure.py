"""Wraps a command in a level of the sandbox. It sees its scratch folder where it is, and can write only there."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox import bubblewrap
from workers.sandbox.levels import Level
from workers.sandbox.readable_paths import GPU_FACTS, MACHINE_FACTS, PROCESSOR, readable_paths, source_folders
from workers.sandbox.system_calls import filter_program

_SOURCE = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.append(sys.argv[1]); from workers.sandbox.launch import main; main(sys.argv[2:])"
_READ_DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_NULL = "/dev/null"


@dataclass(frozen=True)
class Enclosed:
    command: list[str]
    descriptors: tuple[int, ...] = ()
    """To be passed on; they are closed with the context."""


@contextmanager
def enclosed(
    level: Level, command: Sequence[str], scratch: Path, *, devices: Sequence[Path] = ()
) -> Iterator[Enclosed]:
    """The command to start instead, which must be started within the context and in the scratch folder.

    `devices` are the nodes of a GPU; with them the kernel's driver is within reach.
    """
    with ExitStack() as stack:
        match level:
            case Level.NONE:
                yield Enclosed(list(command))
            case Level.BUBBLEWRAP:
                yield _with_bubblewrap(stack, command, scratch, devices)
            case _:
                yield _with_launcher(stack, level, command, scratch, devices)


def returncode(level: Level, code: int) -> int:
    """How the command itself ended: an exit code, or minus the number of a signal."""
    return bubblewrap.returncode(code) if level == Level.BUBBLEWRAP else code


def has_watcher(level: Level) -> bool:
    """Whether the process that is started waits for the command instead of becoming it."""
    return level == Level.BUBBLEWRAP


def _with_bubblewrap(stack: ExitStack, command: Sequence[str], scratch: Path, devices: Sequence[Path]) -> Enclosed:
    program = bubblewrap.find_bubblewrap()
    if program is None:
        raise FileNotFoundError("bwrap is not installed; as root: apt-get install bubblewrap, or `make system-deps`")
    options = "".join(f"{argument}\0" for argument in bubblewrap.arguments(scratch, devices=devices))
    given = _in_memory(stack, os.fsencode(options))
    calls = _in_memory(stack, filter_program(allow_memory_files=bool(devices)))
    # the options by descriptor: nobody wants to read them in a list of processes
    return Enclosed([program, "--args", str(given), "--seccomp", str(calls), "--", *command], (given, calls))


def _with_launcher(
    stack: ExitStack, level: Level, command: Sequence[str], scratch: Path, devices: Sequence[Path]
) -> Enclosed:
    facts = (*PROCESSOR, *MACHINE_FACTS, *(GPU_FACTS if devices else ()))
    calls = _in_memory(stack, filter_program(allow_memory_files=bool(devices)))
    options = ["--namespaces"] if level == Level.NAMESPACES else []
    options += ["--name-threads"] if devices else []
    for path in (*readable_paths(), *facts, *_READ_DEVICES):
        options += ["--read", str(path)]
    for path in source_folders():
        options += ["--list", str(path)]
    for path in (_NULL, *devices):
        options += ["--device", str(path)]
    options += ["--write", str(scratch), "--filter", str(calls)]
    # neither the environment nor a file of the scratch folder has a say in what it imports
    launcher = [sys.executable, "-I", "-S", "-c", _START, str(_SOURCE)]
    return Enclosed([*launcher, *options, "--", *command], (calls,))


def _in_memory(stack: ExitStack, content: bytes) -> int:
    descriptor = os.memfd_create("lowbit-sandbox")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
