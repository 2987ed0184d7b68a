"""Starts the tree in order, keeps it up, and stops it in the reverse order; what nobody needs stops side by side."""

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from app.serve.child import Child
from app.serve.refusal import Refusal
from app.signal_name import signal_name

POLL_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 10.0
"""A process that ran this long before it ended is restarted without delay: whatever ended it, it can start."""


class Supervisor:
    """A list of children in the order in which they depend on each other."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._stopping = False
        self._restart_at: dict[str, float] = {}

    def watch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def start(self, child: Child) -> Child:
        """Start a child; from here on it is stopped with the tree, however the start goes on."""
        self.children.append(child)
        child.start()
        return child

    def wait_for(self, ready: Callable[[], bool], child: Child, *, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self._stopping:
                raise Stopped
            if not child.is_running():
                raise Refusal(f"the {child.name} process did not start:\n{child.last_words()}")
            if time.monotonic() > deadline:
                raise Refusal(f"the {child.name} process did not answer within {timeout_seconds:.0f} s.")
            time.sleep(0.05)

    def raise_if_stopping(self) -> None:
        if self._stopping:
            raise Stopped

    def run(self) -> None:
        """Keep every child up until a signal says stop."""
        while not self._stopping:
            for child in self.children:
                if not child.is_running():
                    self._revive(child)
            time.sleep(POLL_SECONDS)

    def stop_all(self) -> None:
        for child in self.children:
            if not child.is_needed:
                child.ask_to_stop()
        for child in reversed(self.children):
            child.stop()

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        due = self._restart_at.get(child.name)
        if due is None:
            child.restarts = 0 if now - child.started_at > STEADY_SECONDS else child.restarts + 1
            delay = min(MAX_BACKOFF_SECONDS, 0.5 * 2**child.restarts) if child.restarts else 0.0
            self._restart_at[child.name] = now + delay
            code = child.process.returncode if child.process else None
            say(f"the {child.name} process ended ({describe_exit(code)}); restarting. Log: {child.log_file}")
        elif now >= due:
            del self._restart_at[child.name]
            child.start()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._stopping:  # asked twice: no more patience
            for child in self.children:
                child.grace_seconds = 0.5
        else:
            say(f"stopping ({signal_name(number)}) ...")
        self._stopping = True


class Stopped(Exception):
    """A signal came while the tree was still starting."""


def describe_exit(code: int | None) -> str:
    if code is None:
        return "never started"
    return signal_name(-code) if code < 0 else f"exit code {code}"


def say(message: str) -> None:
    """To the person at the terminal; logs go to files."""
    sys.stderr.write(f"lowbit: {message}\n")
    sys.stderr.flush()
