"""Keeps the lease, and shows progress, from a thread of its own.

So neither a long download nor a slow upload lets the lease run out, and a database that does not answer cannot keep the
attempt from seeing that its lease is about to.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.jobs import lease as statements
from app.jobs.lease import Lease
from workers.supervision.interruption import CancelRequested, LeaseLost

log = structlog.get_logger("lowbit.heartbeat")

BEATS_PER_LEASE = 6
"""Several may be missed (a restart of the database) before the lease is in danger."""
SAFE_FRACTION = 0.75
"""With no beat for this part of the lease, stop while it still holds: later, another worker may have the job."""
MAX_WAITING = 64
"""Reports kept through an outage; the newest ones say all that the older ones did."""

Report = Callable[[Session], str | None]
"""Writes something under the lease; returns the job's status, or None if no row was touched."""


class Heartbeat:
    def __init__(self, lease: Lease, sessions: sessionmaker[Session], *, lease_seconds: float) -> None:
        self.lease = lease
        self.sessions = sessions
        self.lease_seconds = lease_seconds
        self._last = time.monotonic()
        self._status: str | None = JobStatus.RUNNING
        self._waiting: deque[Report] = deque(maxlen=MAX_WAITING)
        self._wake = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._wake.set()
        self._thread.join()

    def send(self, report: Report) -> None:
        """Have a report written soon, in the order of sending. It is a heartbeat as well."""
        self._waiting.append(report)
        self._wake.set()

    def settle(self, *, seconds: float) -> None:
        """Wait until all reports are written, or for so long: what comes next is the end, and would overtake them."""
        deadline = time.monotonic() + seconds
        while self._waiting and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)

    def require_not_taken(self) -> None:
        """Raise if it is known that the job is no longer ours."""
        if self._status is None:
            raise LeaseLost

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
        interval = self.lease_seconds / BEATS_PER_LEASE
        due = time.monotonic() + interval
        while self._status is not None and not self._over.is_set():
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            if self._over.is_set():
                return
            self._write_waiting()
            if time.monotonic() >= due:
                self._write(self._beat)
                due = time.monotonic() + interval

    def _write_waiting(self) -> None:
        """Those that cannot be written now wait for the next beat, or for the next report."""
        while self._waiting and self._status is not None:
            report = self._waiting[0]
            if not self._write(report):
                return
            if self._waiting and self._waiting[0] is report:  # it may have been pushed out meanwhile
                self._waiting.popleft()

    def _beat(self, session: Session) -> str | None:
        status: str | None = session.scalar(statements.beat(self.lease, lease_seconds=self.lease_seconds))
        return status

    def _write(self, report: Report) -> bool:
        """The lease runs from some moment after the question was asked, which is the safe one to count from."""
        asked_at = time.monotonic()
        try:
            with self.sessions.begin() as session:
                status = report(session)
        except DataError:  # what the process says cannot be stored; trying again would not help
            log.warning("report dropped")
            return True
        except (DBAPIError, PoolTimeout) as error:
            log.warning("heartbeat missed", error=type(error).__name__)
            return False
        self._status = status
        if status is not None:
            self._last = asked_at
        return True
