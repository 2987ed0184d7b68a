"""The job's process and all that came of it, also what left its group or was orphaned.

A descendant that starts a session of its own escapes a signal to the group, and one whose parent died is handed to
whoever adopts orphans. While a job runs that is us (PR_SET_CHILD_SUBREAPER), so every descendant is either below the
job's process or one of our own children that was not there before.

A number of a process may be used again once its parent has waited for it. So the first process is watched without
waiting (WNOWAIT) until everything is over, and others are signalled through a pidfd opened before a second look.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
"""For everything to be gone after a kill; what is stuck in the kernel for longer is left to it."""
PAUSE_SECONDS = 0.02

_libc = ctypes.CDLL(None, use_errno=True)


class Seen(NamedTuple):
    """One process of the table: the time of its start tells it from a later one with the same number."""

    pid: int
    parent: int
    started: str


@dataclass
class ProcessTree:
    process: subprocess.Popen[bytes]
    our_children_before: frozenset[int]
    is_watched_over: bool = False
    """The first process only waits for the job's own and would end, and all with it, at the first polite signal."""

    def has_ended(self) -> bool:
        """True once the first process is over, of which nobody has taken notice yet: its number is still its own."""
        if self.process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def members(self) -> list[Seen]:
        """All that live, with those that have ended and wait to be noticed."""
        table = _table()
        wanted = {self.process.pid}
        wanted |= {p.pid for p in table if p.parent == os.getpid() and p.pid not in self.our_children_before}
        while more := {p.pid for p in table if p.parent in wanted} - wanted:
            wanted |= more
        return [p for p in table if p.pid in wanted]

    def ask_to_stop(self) -> None:
        asked = [m for m in self.members() if m.pid != self.process.pid] if self.is_watched_over else []
        for member in asked:
            _signal(member, signal.SIGTERM)
        if asked:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def end(self, *, grace_seconds: float) -> None:
        """Ask the group to stop, then make everything stop."""
        if self.process.returncode is not None:
            return
        if not self.has_ended() and grace_seconds > 0:
            self.ask_to_stop()
            self._wait(grace_seconds)
        deadline = time.monotonic() + KILL_SECONDS
        while self._kill() and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
        self.process.wait()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)

    def _kill(self) -> bool:
        """Stop all first, so that none multiplies meanwhile, then kill all. True if there may be more."""
        members = self.members()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for member in members:
                _signal(member, number)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        orphans = [m.pid for m in members if m.parent == os.getpid() and m.pid != self.process.pid]
        for pid in orphans:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return bool([m for m in members if m.pid != self.process.pid]) or not self.has_ended()


@contextmanager
def adopting_orphans() -> Iterator[frozenset[int]]:
    """While this lasts, orphaned descendants become our children. Yields the children that there were before."""
    ours = os.getpid()
    before = frozenset(p.pid for p in _table() if p.parent == ours)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield before
    finally:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def resident_bytes(members: list[Seen]) -> int:
    """Memory that is theirs alone, or shared among them; not the libraries' pages."""
    return sum(_resident_bytes(member.pid) for member in members)


def _signal(member: Seen, number: signal.Signals) -> None:
    with suppress(OSError):
        descriptor = os.pidfd_open(member.pid)
        try:
            if _seen(member.pid) == member:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _table() -> list[Seen]:
    found = (_seen(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208  names are enough
    return [p for p in found if p is not None]


def _seen(pid: int) -> Seen | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # it is gone
        return None
    fields = text[text.rindex(")") + 2 :].split()  # its name, in parentheses, may hold anything
    return Seen(pid, int(fields[1]), fields[19])


def _resident_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
