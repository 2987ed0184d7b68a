"""The process's voice: events as lines of JSON on what was stdout when the process started."""

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

from app.contracts.inspection import Notice
from app.contracts.problem import quoted
from app.contracts.status import Stage
from workers.protocol.events import (
    MAX_EVENT_BYTES,
    Event,
    LogEvent,
    ProgressEvent,
    ReusedEvent,
    StageEvent,
    StepEvent,
    WarningEvent,
)
from workers.protocol.step_keys import StepName, step_file_name

_PROGRESS_EVERY_S = 0.25


@dataclass
class Reporter:
    """Says what stage the job is in and how far it got; remembers the warnings for the result."""

    stream: TextIO
    stage: Stage | None = None
    warnings: list[Notice] = field(default_factory=list)
    _last_progress: float = field(default=-1.0, repr=False)

    def enter(self, stage: Stage) -> None:
        self.stage = stage
        self._last_progress = -1.0
        self._write(StageEvent(stage=stage))

    def progress(self, completed: int, total: int, unit: str) -> None:
        """At most four a second, and always the last one: a progress event is a database write on the other side."""
        now = time.monotonic()
        if completed < total and now - self._last_progress < _PROGRESS_EVERY_S:
            return
        self._last_progress = now
        self._write(ProgressEvent(completed=completed, total=total, unit=unit))

    def warn(self, code: str, detail: str) -> None:
        """Once for each code and detail, however often it is found."""
        detail = detail if detail.isprintable() else quoted(detail)  # what cannot be stored would fail the job
        notice = Notice(code=code, detail=detail)
        if notice not in self.warnings:
            self.warnings.append(notice)
            self._write(WarningEvent(code=code, detail=detail))

    def log(self, message: str) -> None:
        self._write(LogEvent(level="info", message=quoted(message)))

    def finished(self, step: StepName, part: str | None = None) -> None:
        self._write(StepEvent(name=step, part=part, file=step_file_name(step, part)))

    def reused(self, step: StepName, part: str | None = None) -> None:
        self._write(ReusedEvent(name=step, part=part))

    def _write(self, event: Event) -> None:
        line = event.model_dump_json()
        if len(line.encode()) < MAX_EVENT_BYTES:
            self.stream.write(line + "\n")
            self.stream.flush()


def take_stdout() -> TextIO:
    """Keep stdout for events only: what libraries print, in Python or in C, goes to stderr from now on."""
    ours = os.dup(1)
    os.set_inheritable(ours, False)  # noqa: FBT003 # the standard library takes it by position only
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(ours, "w", encoding="utf-8")
