"""How far a job is, built from its process's events, in the shape that the job's row shows."""

import time
from collections.abc import Sequence
from typing import Any

from app.contracts.status import Stage
from app.observability.tracing import past_span
from workers.protocol.events import Event

MAX_WARNINGS = 100
MAX_TEXT_CHARACTERS = 1000


class StageRecord:
    """The stages with their durations, the progress of the current one, and the warnings so far."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.current: Stage | None = None
        self.progress: dict[str, Any] | None = None
        self.warnings: list[dict[str, Any]] = []
        self._entered: dict[Stage, float] = {}
        self._left: dict[Stage, float] = {}
        self._stages = tuple(stages)

    def take(self, event: Event) -> None:
        match event.event:
            case "stage":
                self.enter(event.stage)
            case "progress":
                fraction = min(1.0, event.completed / event.total) if event.total else 0.0
                self.progress = {
                    "fraction": round(fraction, 4),
                    "completed": event.completed,
                    "total": event.total,
                    "unit": event.unit,
                }
            case "warning":
                self._warn(event.code, event.detail)
            case "log" | "step" | "reused":
                pass  # no part of how far it is

    @property
    def stages_seen(self) -> int:
        """How many have been entered; each counts once."""
        return len(self._entered)

    def enter(self, stage: Stage) -> None:
        self._leave()
        self.current, self.progress = stage, None
        self._entered[stage] = time.monotonic()

    def finished(self) -> list[dict[str, Any]]:
        self._leave()
        self.current, self.progress = None, None
        return self.shown()

    def shown(self, *, failed: bool = False) -> list[dict[str, Any]]:
        """The stages that such a job has, and then those that this one had besides: not every model is exported."""
        others = [stage for stage in self._entered if stage not in self._stages]
        return [self._one(stage, failed=failed) for stage in (*self._stages, *others)]

    def _warn(self, code: str, detail: str) -> None:
        """Every warning is part of every later report, so there is an end to them."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append({"code": storable(code), "detail": storable(detail)})
        elif len(self.warnings) == MAX_WARNINGS:
            self.warnings.append({"code": "more_warnings", "detail": f"There are more than {MAX_WARNINGS} warnings."})

    def _leave(self) -> None:
        if self.current is not None and self.current not in self._left:
            self._left[self.current] = time.monotonic()
            past_span(self.current, seconds=self._left[self.current] - self._entered[self.current])

    def _one(self, stage: Stage, *, failed: bool) -> dict[str, Any]:
        if stage not in self._entered:
            return {"name": stage, "status": "pending", "duration_s": None}
        until = self._left.get(stage)
        status = "succeeded" if until is not None else "failed" if failed else "running"
        duration = None if until is None else round(until - self._entered[stage], 3)
        return {"name": stage, "status": status, "duration_s": duration}


def storable(text: str) -> str:
    """Postgres takes no NUL, and nobody reads a page in a warning."""
    return text[:MAX_TEXT_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
