"""What one worker process holds on to between jobs: its database connections and its store."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import Queue
from app.jobs import lease
from app.jobs.turn import take_turns
from app.observability import correlation, tracing
from app.prompt_connection import CONNECT_SECONDS, SILENCE_NOTICED, wait_at_most
from app.settings import Settings
from app.storage import ObjectStore
from app.storage.configured import existing_store
from app.tables import Job
from app.tenancy import EVERY_TENANT, seen_by
from workers.sandbox.gpu import Gpu
from workers.supervision.attempt import Attempt
from workers.supervision.kinds.known import kind_of

log = structlog.get_logger("lowbit.crew")

LEAST_PATIENCE_SECONDS = 1.0


@dataclass
class Crew:
    settings: Settings
    sessions: sessionmaker[Session]
    store: ObjectStore
    gpu: Gpu | None = None
    """Nobody else's, for the jobs that are claimed for a GPU."""

    @classmethod
    def of(cls, settings: Settings, *, gpu: Gpu | None = None) -> "Crew":
        engine = worker_engine(settings, connections=2)  # the attempt and its heartbeat
        sessions = sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
        return cls(settings, sessions, existing_store(settings), gpu)

    def run_one(self, queue: str) -> bool:
        """Claim a job and see it through. False if nothing waits, or this worker is in no state to do more now."""
        asked_at = time.monotonic()
        try:
            job = self._claim(queue)
        except DBAPIError as error:
            log.warning("claim failed", queue=queue, error=type(error).__name__)
            return False
        if job is None:
            return False
        with _noted(job, queue, claim_seconds=time.monotonic() - asked_at):
            log.info("claimed", queue=queue)
            try:
                return Attempt(job, self.settings, self._sessions_for(job), self.store, self.gpu_for(job)).see_through()
            except Exception:  # the lease runs out and the job is run again; the log says what happened here
                log.exception("attempt abandoned")
                return False

    def gpu_for(self, job: Job) -> Gpu | None:
        """None for a job that was claimed for other work, or that is of a kind which has no use for one."""
        return self.gpu if job.queue == Queue.GPU and kind_of(job).takes_gpu else None

    def _sessions_for(self, job: Job) -> sessionmaker[Session]:
        """Whatever a job brings about, it cannot touch another tenant's rows."""
        return sessionmaker(self.sessions.kw["bind"], expire_on_commit=False, info=seen_by(job.tenant_id))

    def _claim(self, queue: str) -> Job | None:
        owner = f"{socket.gethostname()}:{os.getpid()}"
        with self.sessions.begin() as session:
            session.execute(take_turns())
            statement = lease.claim(
                queue,
                owner=owner,
                lease_seconds=self.settings.lease_seconds,
                running_limit=self.settings.quota_running_jobs,
            )
            job: Job | None = session.scalar(statement.execution_options(synchronize_session=False))
            return job


def worker_engine(settings: Settings, *, connections: int) -> Engine:
    patience = _patience_seconds(settings)
    milliseconds = int(patience * 1000)
    engine = create_engine(
        settings.require_database_url(),
        pool_size=connections,
        max_overflow=1,
        pool_timeout=patience,
        pool_pre_ping=True,
        hide_parameters=True,  # users' values do not belong into logs
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            **SILENCE_NOTICED,
            # a worker frozen in the middle of a claim must not keep the others from claiming
            "options": f"-c statement_timeout={milliseconds * 9 // 10} "
            f"-c idle_in_transaction_session_timeout={2 * milliseconds} -c timezone=UTC",
        },
    )
    wait_at_most(engine, patience)
    return engine


def _patience_seconds(settings: Settings) -> float:
    """A beat that hangs must end in time for another one, before the lease is in danger."""
    return max(LEAST_PATIENCE_SECONDS, min(settings.query_seconds, settings.lease_seconds / 5))


@contextmanager
def _noted(job: Job, queue: str, *, claim_seconds: float) -> Iterator[None]:
    """Log lines and spans of the attempt carry the job, and the request that it came from."""
    origin = correlation.log_fields(request_id=job.request_id, traceparent=job.traceparent)
    facts: dict[str, str | int] = {"job_id": job.id, "kind": job.kind, "attempt": job.attempt}
    span = tracing.attempt_span(
        f"job {job.kind}", traceparent=job.traceparent, claim_seconds=claim_seconds, facts={**facts, "queue": queue}
    )
    with structlog.contextvars.bound_contextvars(**facts, **origin), span:
        yield
