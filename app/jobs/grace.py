"""A grace for workers after the database was away: a lease that nobody could renew says nothing about its worker.

Such a worker stops its job's process and, as soon as the database answers, hands the job back or writes how it ended.
Whoever has done neither when the grace is over has died meanwhile.
"""

import math
import time
from dataclasses import dataclass

HARMLESS_FRACTION = 0.5
"""Of a lease. Heartbeats come six times in its length, so after a shorter outage it still has a third to go."""


@dataclass
class Grace:
    """Told of every round of questions to the database, it knows when leases may be taken away again."""

    lease_seconds: float
    _answered_at: float = -math.inf
    _failed: bool = False
    _until: float = 0.0

    def note_failure(self) -> None:
        self._failed = True

    def note_answer(self) -> None:
        now = time.monotonic()
        if self._failed and now - self._answered_at > HARMLESS_FRACTION * self.lease_seconds:
            self._until = now + self.lease_seconds
        self._answered_at, self._failed = now, False

    def is_over(self) -> bool:
        return not self._failed and time.monotonic() >= self._until
