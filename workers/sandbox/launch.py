"""Gives up rights, then becomes the job's command: the levels without bubblewrap.

    launch [--namespaces] [--name-threads] [--read PATH | --list PATH | --write PATH | --device PATH]...
           --filter FD -- COMMAND...

`--list` shows the names in a folder and below, and no content. With `--name-threads` the command, not its children, may
write to the files of its own threads: CUDA does not start where it cannot give them names.

It is a program of its own, and not a hook between fork and exec: it holds nothing of the worker's memory when it enters
namespaces, for which it must be open to inspection. The command takes its place, so process number, exit code and
signals are the command's own.
"""

import ctypes
import itertools
import os
import sys

from workers.sandbox import kernel, landlock
from workers.sandbox.namespaces import enter_namespaces
from workers.sandbox.privileges import drop_privileges

CANNOT = 125
"""Exit code when the sandbox could not be made; nothing was run."""
MAX_FILTER_BYTES = 8 * 4096  # what the kernel takes

PR_SET_PDEATHSIG, SIGKILL = 1, 9
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def main(arguments: list[str]) -> None:
    end = arguments.index("--")
    command = arguments[end + 1 :]
    try:
        confine(arguments[:end])
        os.execv(command[0], command)  # noqa: S606  no shell is wanted
    except OSError as error:
        os.write(2, f"the sandbox could not be made: {error.strerror or error}\n".encode())
        sys.exit(CANNOT)


def confine(options: list[str]) -> None:
    """In this order: each step takes away what the one before needed."""
    parent = os.getppid()
    writable = _values(options, "--write")
    threads = [f"/proc/{os.getpid()}/task"] if "--name-threads" in options else []
    if "--namespaces" in options:
        enter_namespaces([*writable, *threads])
    drop_privileges()
    landlock.restrict(
        readable=[f"/proc/{os.getpid()}", *_values(options, "--read")],
        listed=_values(options, "--list"),
        writable=writable,
        changed=threads,
        devices=_values(options, "--device"),
    )
    kernel.prctl(PR_SET_PDEATHSIG, SIGKILL)  # a change of rights has undone the request made before
    if os.getppid() != parent:
        os._exit(1)
    (filter_descriptor,) = _values(options, "--filter")
    _install_filter(int(filter_descriptor))


def _values(options: list[str], name: str) -> list[str]:
    return [value for option, value in itertools.pairwise(options) if option == name]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _install_filter(descriptor: int) -> None:
    """From here on, for this process and all that it starts."""
    instructions = os.read(descriptor, MAX_FILTER_BYTES)
    os.close(descriptor)
    program = _Program(len(instructions) // 8, instructions)
    kernel.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))
