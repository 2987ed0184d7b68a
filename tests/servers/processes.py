"""Looks at processes that may end at any moment: one that has ended meanwhile is no error, it is not there."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

import psutil

T = TypeVar("T")


def seen(processes: Iterable[psutil.Process], look: Callable[[psutil.Process], T]) -> list[tuple[psutil.Process, T]]:
    """Those that are there, each with what was seen of it."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.append((process, look(process)))
    return found


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Without those that have ended, whether or not somebody has taken note of it."""
    looks = seen(processes, lambda process: process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return [process for process, lives in looks if lives]


def running(processes: Iterable[psutil.Process], *words: str) -> list[psutil.Process]:
    """Those whose command line has all these words."""
    # the sandbox's own processes have the job's command in theirs
    looks = seen(processes, lambda process: " ".join(process.cmdline()) if process.name() != "bwrap" else "")
    return [process for process, line in looks if line and all(word in line for word in words)]


def kill(processes: Iterable[psutil.Process]) -> None:
    seen(processes, lambda process: process.kill())
