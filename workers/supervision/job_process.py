"""The process that does a job's work: started in a group of its own, listened to, ended with all its children."""

import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

import structlog
from pydantic import ValidationError

from app.die_with_parent import die_with_parent
from app.signal_name import signal_name
from workers.pipeline.protocol import EVENT, MAX_EVENT_BYTES, OUTCOME, OUTCOME_FILE, Event, Outcome
from workers.supervision.plain_file import read_plain

log = structlog.get_logger("lowbit.job_process")

LOG_FILE = "process.log"
LOG_TAIL_BYTES = 4096
MAX_OUTCOME_BYTES = 64 * 1024**2
POLL_SECONDS = 0.2
TERM_GRACE_SECONDS = 5.0
READS_AFTER_END = 4
"""Of 64 KiB, which is all that a pipe holds."""


class ProcessCrashed(Exception):
    """The process ended without an outcome."""


COMMAND = (sys.executable, "-m", "workers.pipeline")
"""What is run, with the scratch folder as its argument."""


def run(
    scratch: Path,
    *,
    on_event: Callable[[Event], None],
    check: Callable[[], None],
    memory_bytes: int | None = None,
    command: Sequence[str] = COMMAND,
) -> Outcome:
    """Run the job's process on a scratch folder until it has an outcome.

    `check` is called several times a second; whatever it raises ends the process and is passed on.
    Raises `ProcessCrashed`.
    """
    with _started([*command, str(scratch)], scratch, memory_bytes) as process, closing(_Lines(process)) as lines:
        while process.poll() is None:
            check()
            for event in lines.read(POLL_SECONDS):
                on_event(event)
        for event in lines.rest():
            on_event(event)
        return _outcome(scratch, process.returncode)


@contextmanager
def _started(command: Sequence[str], scratch: Path, memory_bytes: int | None) -> Iterator[subprocess.Popen[bytes]]:
    tie = die_with_parent(signal.SIGKILL)

    def before_exec() -> None:
        tie()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))

    with (scratch / LOG_FILE).open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509  only system calls: safe beside the heartbeat's thread
        )
    try:
        yield process
    finally:
        _end(process)


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of the worker's own: the process is told no address and no secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "HOME": str(scratch), "TMPDIR": str(scratch), "HF_HUB_OFFLINE": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to stop, then make it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(TERM_GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class _Lines:
    """Events from a pipe, without ever blocking for longer than asked, and without trusting the other side."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._stream: IO[bytes] = process.stdout
        self._buffer = b""
        self._ended = False
        os.set_blocking(self._stream.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stream, selectors.EVENT_READ)

    def read(self, timeout_seconds: float) -> list[Event]:
        """The events that arrive within a time; after the end of the stream, none."""
        if self._ended:
            time.sleep(timeout_seconds)
            return []
        if not self._selector.select(timeout_seconds):
            return []
        return self._take()

    def rest(self) -> Iterator[Event]:
        """What is still in the pipe. A process left behind may hold it open or fill it: do not wait for its end."""
        for _ in range(READS_AFTER_END):
            if not self._ended and self._selector.select(0):
                yield from self._take()

    def close(self) -> None:
        self._selector.close()

    def _take(self) -> list[Event]:
        chunk: bytes | None = self._stream.read(64 * 1024)  # None: nothing yet, on a stream that does not block
        if chunk is None:
            return []
        self._ended = chunk == b""
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        if len(self._buffer) > MAX_EVENT_BYTES:
            self._buffer = b""
        return [event for line in lines if (event := _parsed(line)) is not None]


def _parsed(line: bytes) -> Event | None:
    if len(line) > MAX_EVENT_BYTES:
        return None
    try:
        return EVENT.validate_json(line)
    except ValidationError:
        log.warning("unreadable event", line=line[:200].decode(errors="replace"))
        return None


def _outcome(scratch: Path, returncode: int) -> Outcome:
    if returncode != 0:
        log.error("process crashed", returncode=returncode, log_tail=_tail(scratch / LOG_FILE))
        raise ProcessCrashed(_described(returncode))
    try:
        return OUTCOME.validate_json(read_plain(scratch / OUTCOME_FILE, max_bytes=MAX_OUTCOME_BYTES))
    except (OSError, ValidationError) as error:
        log.exception("process left no outcome", log_tail=_tail(scratch / LOG_FILE))
        raise ProcessCrashed("it left no readable outcome") from error


def _described(returncode: int) -> str:
    if returncode >= 0:
        return f"it ended with exit code {returncode}"
    name = signal_name(-returncode)
    return f"it was ended by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")


def _tail(path: Path) -> str:
    try:
        return read_plain(path, max_bytes=LOG_TAIL_BYTES, only_tail=True).decode(errors="replace")
    except OSError:
        return ""
