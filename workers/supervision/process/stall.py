"""How long each stage may be silent. A process that works says so: any event is a sign of life."""

import time

from app.contracts.status import Stage
from workers.supervision.abnormal_end import ProcessStalled

SILENCE_SECONDS: dict[str, float] = {
    Stage.FETCH: 600.0,  # the process is starting: its libraries load from a cold disk
    Stage.INSPECT: 600.0,  # one model is parsed and checked as a whole
    Stage.CALIBRATE: 300.0,  # reports every batch
    Stage.EVALUATE: 300.0,  # likewise
}
OTHER_SILENCE_SECONDS = 1800.0
"""Stages whose longest step is a whole pass over the model, or a measurement that must not be disturbed."""


class StallWatch:
    """Knows when the last sign of life was."""

    def __init__(self, *, factor: float) -> None:
        self.factor = factor
        self._stage: str | None = None
        self._last = time.monotonic()

    def note(self, stage: str | None) -> None:
        self._stage, self._last = stage, time.monotonic()

    def check(self) -> None:
        """Raise `ProcessStalled` when the silence is too long for the stage."""
        silent = time.monotonic() - self._last
        if silent > self.factor * SILENCE_SECONDS.get(self._stage or Stage.FETCH, OTHER_SILENCE_SECONDS):
            raise ProcessStalled(self._stage, silent)
