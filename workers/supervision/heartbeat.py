"""Keeps the lease from a thread of its own, so that neither a long download nor a slow upload lets it run out."""

import threading
import time
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.jobs import lease as statements
from app.jobs.lease import Lease

log = structlog.get_logger("lowbit.heartbeat")

BEATS_PER_LEASE = 6
"""Several may be missed (a restart of the database) before the lease is in danger."""
SAFE_FRACTION = 0.75
"""With no beat for this part of the lease, stop while it still holds: later, another worker may have the job."""


class LeaseLost(Exception):
    """Another worker may have the job, or has it. Stop, and write nothing."""


class CancelRequested(Exception):
    """The user wants the job to stop."""


class Heartbeat:
    def __init__(self, lease: Lease, sessions: sessionmaker[Session], *, lease_seconds: float) -> None:
        self.lease = lease
        self.sessions = sessions
        self.lease_seconds = lease_seconds
        self._last = time.monotonic()
        self._status: str | None = JobStatus.RUNNING
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def note(self, status: str | None, *, asked_at: float) -> None:
        """Take in the answer of any write under the lease; None means that no row was touched.

        The lease runs from some moment after `asked_at` (monotonic seconds), which is the safe one to count from.
        """
        self._status = status
        if status is not None:
            self._last = max(self._last, asked_at)

    def require_lease(self) -> None:
        """Raise if the lease is lost, or too old to be sure of."""
        if self._status is None or time.monotonic() - self._last > SAFE_FRACTION * self.lease_seconds:
            raise LeaseLost

    def check(self) -> None:
        """Raise if the attempt should stop."""
        self.require_lease()
        if self._status == JobStatus.CANCELLING:
            raise CancelRequested

    def _run(self) -> None:
        while self._status is not None and not self._over.wait(self.lease_seconds / BEATS_PER_LEASE):
            asked_at = time.monotonic()
            try:
                with self.sessions.begin() as session:
                    beat = statements.beat(self.lease, lease_seconds=self.lease_seconds)
                    self.note(session.scalar(beat), asked_at=asked_at)
            except DBAPIError as error:
                log.warning("heartbeat missed", error=type(error).__name__)
