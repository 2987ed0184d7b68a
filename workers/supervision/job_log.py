"""What a job's process says about itself, on its way to the job's events: no faster than one can read."""

import time

import structlog

from app.contracts.problem import quoted
from app.jobs.events import NewEvent, log_line
from workers.protocol.events import LogEvent

log = structlog.get_logger("lowbit.job_log")

LINES_PER_SECOND = 20
BURST_LINES = 100
MAX_EVENTS = 5000
"""Of one job, all attempts together; more than anybody reads."""


class JobLog:
    """Lines that wait to be written. Too many at once are counted instead of kept."""

    def __init__(self) -> None:
        self._waiting: list[NewEvent] = []
        self._left_out = 0
        self._room = float(BURST_LINES)
        self._filled_at = time.monotonic()

    def take(self, event: LogEvent, *, stage: str | None) -> None:
        now = time.monotonic()
        self._room = min(BURST_LINES, self._room + (now - self._filled_at) * LINES_PER_SECOND)
        self._filled_at = now
        if self._room < 1:
            self._left_out += 1
            return
        self._room -= 1
        log.info("process", message=quoted(event.message))
        self._waiting.append(log_line(event.level, event.message, stage=stage))

    def drain(self) -> list[NewEvent]:
        """What has come since the last time."""
        lines, self._waiting = self._waiting, []
        if self._left_out:
            lines.append(log_line("warning", f"{self._left_out} more lines came too fast to be kept.", stage=None))
            self._left_out = 0
        return lines
