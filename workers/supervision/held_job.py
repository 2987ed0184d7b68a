"""A job under this worker's lease, and the only ways to write about it while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import Stage
from app.jobs import events
from app.jobs import lease as statements
from app.jobs.lease import Lease
from app.settings import Settings
from app.tables import Job
from workers.supervision.abnormal_end import DeadlinePassed
from workers.supervision.heartbeat import Heartbeat
from workers.supervision.interruption import LeaseLost, ShuttingDown
from workers.supervision.job_log import MAX_EVENTS, JobLog
from workers.supervision.shutdown import SHUTDOWN
from workers.supervision.stages import StageRecord

log = structlog.get_logger("lowbit.held_job")

RETRY_SECONDS = 0.5
SETTLE_SECONDS = 2.0
LAST_WORDS_SECONDS = 6.0
"""After the first notice of a shutdown: what the process has just finished may still be kept."""

T = TypeVar("T")


@dataclass
class HeldJob:
    """What steps, transfers and the record of an attempt have in common."""

    job: Job
    settings: Settings
    sessions: sessionmaker[Session]
    """They see the rows of the job's tenant and no others."""
    stages: tuple[Stage, ...]
    """Those that every job of its kind has."""

    def __post_init__(self) -> None:
        self.lease = Lease(self.job.id, self.job.lease_token)
        self.record = StageRecord(self.stages)
        self.heartbeat = Heartbeat(self.lease, self.sessions, lease_seconds=self.settings.lease_seconds)
        self.log = JobLog()
        self._claimed_at = time.monotonic()
        self._stops_at: float | None = None

    def check(self) -> None:
        """Raise if the attempt should stop: called several times a second, also during a transfer."""
        self.heartbeat.check()
        self._check_shutdown()
        deadline = self.job.deadline_seconds or self.settings.job_deadline_seconds
        if deadline is not None and time.monotonic() - self._claimed_at > deadline:
            raise DeadlinePassed(deadline)

    def _check_shutdown(self) -> None:
        """Raise when it is first seen, and again when the time for last words is over."""
        if not SHUTDOWN.is_set():
            return
        now = time.monotonic()
        if self._stops_at is None or now > self._stops_at:
            self._stops_at = self._stops_at or now + LAST_WORDS_SECONDS
            raise ShuttingDown

    def enter(self, stage: Stage) -> None:
        self.record.enter(stage)
        self.report()

    def report(self) -> None:
        """Have shown how far it is, with the lines of its log so far."""
        statement = statements.report(
            self.lease,
            lease_seconds=self.settings.lease_seconds,
            stage=self.record.current,
            stages=self.record.shown(),
            progress=self.record.progress,
            warnings=list(self.record.warnings),
        )
        lines = self.log.drain()

        def write(session: Session) -> str | None:
            status: str | None = session.scalar(statement)
            if status is not None and lines:
                session.execute(events.append_log(self.lease, lines, max_events=MAX_EVENTS))
            return status

        self.heartbeat.send(write)

    def write(self, write: Callable[[Session], T]) -> T:
        """Run one transaction, again and again as long as the lease holds: a restart of the database must not cost
        hours of work.

        What is written carries `lease`; whoever finds that it touched no row raises `LeaseLost`. A commit whose answer
        was lost may have happened: the next try then finds the lease gone, which is the truth.
        """
        return self._written(write, self.heartbeat.require_lease)

    def write_end(self, write: Callable[[Session], T]) -> T:
        """The same for how the attempt ended, however long the database is away.

        Nothing of the job runs any more, so being late does no harm: if another worker has it, the token says so.
        """
        return self._written(write, self.heartbeat.require_not_taken)

    def _written(self, write: Callable[[Session], T], require: Callable[[], None]) -> T:
        self.heartbeat.settle(seconds=SETTLE_SECONDS)
        while True:
            require()
            try:
                with self.sessions.begin() as session:
                    return write(session)
            except (OperationalError, InterfaceError, PoolTimeout) as error:
                log.warning("it cannot be written yet", error=type(error).__name__)
                self._pause(error)

    def _pause(self, error: Exception) -> None:
        """A worker that is told to stop does not wait for a database that is away: the lease runs out by itself."""
        if SHUTDOWN.is_set():
            self._stops_at = self._stops_at or time.monotonic() + LAST_WORDS_SECONDS
            if time.monotonic() > self._stops_at:
                raise LeaseLost from error
        time.sleep(RETRY_SECONDS)
