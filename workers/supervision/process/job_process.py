"""The process that does a job's work: started in a group of its own, listened to, ended with all that came of it."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.die_with_parent import die_with_parent
from app.signal_name import signal_name
from workers.protocol.events import Event
from workers.protocol.outcome import OUTCOME, OUTCOME_FILE, Finished, Outcome
from workers.sandbox import enclosure
from workers.sandbox.environment import job_environment
from workers.sandbox.gpu import Gpu, visible_devices
from workers.sandbox.levels import Level
from workers.supervision.abnormal_end import ProcessCrashed
from workers.supervision.interruption import LeaseLost, ShuttingDown
from workers.supervision.plain_file import read_plain
from workers.supervision.process.event_lines import EventLines
from workers.supervision.process.limits import Limits, LimitWatch, task_limit
from workers.supervision.process.log_tail import log_tail
from workers.supervision.process.process_tree import ProcessTree, adopting_orphans

log = structlog.get_logger("lowbit.job_process")

LOG_FILE = "process.log"
MAX_OUTCOME_BYTES = 64 * 1024**2
MAX_OUTCOME_PARTS = 500_000
"""Objects and lists: read, each takes up to a kilobyte, however short it is written. Two or three tell of a layer."""
MAX_PROBLEM_BYTES = 256 * 1024
POLL_SECONDS = 0.2
_OOM_SCORE = "/proc/self/oom_score_adj"
TERM_GRACE_SECONDS = 5.0

COMMAND = (sys.executable, "-m", "workers.pipeline")
"""What is run, with the scratch folder as its argument."""


@dataclass
class _Running:
    tree: ProcessTree
    lines: EventLines
    watch: LimitWatch
    level: Level


def run(
    scratch: Path,
    *,
    command: Sequence[str],
    level: Level,
    limits: Limits,
    on_event: Callable[[Event], None],
    check: Callable[[], None],
    gpu: Gpu | None = None,
) -> Outcome:
    """Run the job's process on a scratch folder, in a level of the sandbox, until it has an outcome.

    `check` is called several times a second; whatever it raises ends the process and is passed on.
    The process may use the GPU, if there is one, and no other.
    Raises `AbnormalEnd`. When this returns, or raises, nothing of the process is left.
    """
    with _started([*command, str(scratch)], scratch, level, limits, gpu) as running:
        try:
            _listen(running, on_event, check)
        except ShuttingDown:
            _hear_out(running, on_event)
            running.tree.end(grace_seconds=0)
            raise
        except LeaseLost:
            running.tree.end(grace_seconds=0)  # another worker may start any moment
            raise
    return _outcome(scratch, running)


def _listen(running: _Running, on_event: Callable[[Event], None], check: Callable[[], None]) -> None:
    while not running.tree.has_ended():
        check()
        running.watch.check()
        for event in running.lines.read(POLL_SECONDS):
            on_event(event)
    for event in running.lines.rest():
        on_event(event)


def _hear_out(running: _Running, on_event: Callable[[Event], None]) -> None:
    """Ask the process to stop, and take in what it still says: a step that it has just finished need not be lost."""
    running.tree.ask_to_stop()
    deadline = time.monotonic() + TERM_GRACE_SECONDS
    while not running.tree.has_ended() and time.monotonic() < deadline:
        for event in running.lines.read(POLL_SECONDS):
            on_event(event)
    for event in running.lines.rest():
        on_event(event)


@contextmanager
def _started(
    command: Sequence[str], scratch: Path, level: Level, limits: Limits, gpu: Gpu | None
) -> Iterator[_Running]:
    with ExitStack() as stack:
        before = stack.enter_context(adopting_orphans())
        # opened for appending: after a cut its writer goes on at the new end
        log_file = stack.enter_context((scratch / LOG_FILE).open("ab"))
        inside = stack.enter_context(enclosure.enclosed(level, command, scratch, devices=gpu.nodes if gpu else ()))
        process = subprocess.Popen(
            inside.command,
            pass_fds=inside.descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            cwd=scratch,
            env=job_environment(scratch, visible_devices=visible_devices(gpu, level)),
            start_new_session=True,
            preexec_fn=_before_exec(limits),  # noqa: PLW1509  only system calls: safe beside the heartbeat's thread
        )
        assert process.stdout is not None
        tree = ProcessTree(process, before, is_watched_over=enclosure.has_watcher(level))
        lines = stack.enter_context(closing(EventLines(process.stdout)))
        watch = LimitWatch(limits, tree, scratch, log_file.fileno())
        try:
            yield _Running(tree, lines, watch, level)
        finally:
            tree.end(grace_seconds=TERM_GRACE_SECONDS)


def _before_exec(limits: Limits) -> Callable[[], None]:
    tie = die_with_parent(signal.SIGKILL)
    bounds = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, task_limit())]
    if limits.address_space_bytes is not None:
        bounds.append((resource.RLIMIT_AS, limits.address_space_bytes))
    if limits.data_bytes is not None:
        bounds.append((resource.RLIMIT_DATA, limits.data_bytes))
    if limits.scratch_bytes is not None:
        bounds.append((resource.RLIMIT_FSIZE, limits.scratch_bytes))

    def before_exec() -> None:
        tie()
        _volunteer_for_the_oom_killer()
        for what, most in bounds:
            resource.setrlimit(what, (most, most))

    return before_exec


def _volunteer_for_the_oom_killer() -> None:
    """When memory runs out, the kernel ends the process that seems to use most: memory that a job hides from the count
    must not cost the database its life. Whoever may not ask for that goes on without."""
    with suppress(OSError):
        descriptor = os.open(_OOM_SCORE, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)


def _outcome(scratch: Path, running: _Running) -> Outcome:
    returncode = enclosure.returncode(running.level, running.tree.process.returncode)
    if returncode != 0:
        crash = _crashed(_described(returncode), scratch)
        raise running.watch.explain(crash, killed=returncode == -signal.SIGKILL)
    try:
        told = read_plain(scratch / OUTCOME_FILE, max_bytes=MAX_OUTCOME_BYTES)
        outcome = _read(told)
    except (OSError, ValueError) as error:
        raise _crashed("it left no readable outcome", scratch) from error
    if not isinstance(outcome, Finished) and outcome.problem.code == "out_of_memory":
        raise running.watch.out_of_memory()
    return outcome


def _read(told: bytes) -> Outcome:
    """Raises ValueError, which pydantic's own error is too."""
    if told.count(b"{") + told.count(b"[") > MAX_OUTCOME_PARTS:
        raise ValueError("it has more parts than it may have")
    outcome = OUTCOME.validate_json(told)
    if not isinstance(outcome, Finished) and len(told) > MAX_PROBLEM_BYTES:
        raise ValueError("a problem is longer than it may be")
    return outcome


def _crashed(how: str, scratch: Path) -> ProcessCrashed:
    crash = ProcessCrashed(how)
    crash.log_tail = log_tail(scratch / LOG_FILE)
    log.error("process crashed", how=how, log_tail="\n".join(crash.log_tail))
    return crash


def _described(returncode: int) -> str:
    if returncode >= 0:
        return f"it ended with exit code {returncode}"
    return f"it was ended by {signal_name(-returncode)}"
