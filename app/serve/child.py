"""One process of the tree: started, watched, stopped; it never outlives the supervisor, not even one killed with -9."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.die_with_parent import die_with_parent

KEEP_LOG_BYTES = 16 * 1024**2
"""A log larger than this is set aside when its process starts; one earlier log is kept."""


@dataclass(frozen=True)
class Identity:
    """The user that a server runs as, when we are root."""

    name: str
    uid: int
    gid: int


@dataclass
class Child:
    """How to start a process, and the process once it runs."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log_file: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    identity: Identity | None = None
    pass_fds: tuple[int, ...] = ()
    is_needed: bool = True
    """Others of the tree need it while they stop."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    restarts: int = field(default=0, init=False)
    started_at: float = field(default=0.0, init=False)
    asked_at: float | None = field(default=None, init=False)
    """When it was told to stop."""

    def start(self) -> None:
        self.started_at, self.asked_at = time.monotonic(), None
        who = self.identity
        with _log(self.log_file) as log:
            self.process = subprocess.Popen(  # its end is watched by the supervisor
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor alone, which stops in order
                pass_fds=self.pass_fds,
                preexec_fn=die_with_parent(self.stop_signal),  # noqa: PLW1509  the supervisor has one thread
                user=who.uid if who else None,
                group=who.gid if who else None,
                extra_groups=[] if who else None,
            )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Once: some take a second signal for impatience."""
        if self.process is not None and self.asked_at is None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            self.asked_at = time.monotonic()

    def stop(self) -> None:
        """Ask, wait, then insist; the whole process group goes, so that no grandchild is left."""
        if self.process is None:
            return
        self.ask_to_stop()
        if self.asked_at is not None:
            while self.process.poll() is None and time.monotonic() - self.asked_at < self.grace_seconds:
                time.sleep(0.05)  # a second Ctrl-C shortens the grace meanwhile
        _kill_group(self.process.pid)
        self.process.wait()

    def last_words(self, *, lines: int = 8) -> str:
        """The end of its log, for a message about its death."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _log(path: Path) -> IO[bytes]:
    """The log, opened for appending and closed to other users."""
    if path.exists() and path.stat().st_size > KEEP_LOG_BYTES:
        path.replace(path.with_suffix(path.suffix + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
