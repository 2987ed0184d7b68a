"""What one worker process holds on to between jobs: its database connections and its store."""

import os
import socket
from dataclasses import dataclass

import structlog
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from app.jobs import lease
from app.settings import Settings
from app.storage import ObjectStore
from app.storage.configured import configured_store
from app.tables import Job
from app.tenancy import EVERY_TENANT, seen_by
from workers.supervision.attempt import Attempt

log = structlog.get_logger("lowbit.crew")

STATEMENT_TIMEOUT_MS = 15_000


@dataclass
class Crew:
    settings: Settings
    sessions: sessionmaker[Session]
    store: ObjectStore

    @classmethod
    def of(cls, settings: Settings) -> "Crew":
        engine = create_engine(
            settings.require_database_url(),
            pool_size=2,  # the attempt and its heartbeat
            max_overflow=1,
            pool_pre_ping=True,
            hide_parameters=True,  # users' values do not belong into logs
            connect_args={
                "connect_timeout": 5,
                "keepalives_idle": 10,  # a database that fell silent must not be waited for until TCP gives up
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
            },
        )
        sessions = sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
        return cls(settings, sessions, configured_store(settings))

    def run_one(self, queue: str) -> bool:
        """Claim a job and see it through. False if nothing waits, or this worker is in no state to do more now."""
        try:
            job = self._claim(queue)
        except DBAPIError as error:
            log.warning("claim failed", queue=queue, error=type(error).__name__)
            return False
        if job is None:
            return False
        with structlog.contextvars.bound_contextvars(job_id=job.id, kind=job.kind, attempt=job.attempt):
            log.info("claimed", queue=queue)
            try:
                return Attempt(job, self.settings, self._sessions_for(job), self.store).see_through()
            except Exception:  # the lease runs out and the job is run again; the log says what happened here
                log.exception("attempt abandoned")
                return False

    def _sessions_for(self, job: Job) -> sessionmaker[Session]:
        """Whatever a job brings about, it cannot touch another tenant's rows."""
        return sessionmaker(self.sessions.kw["bind"], expire_on_commit=False, info=seen_by(job.tenant_id))

    def _claim(self, queue: str) -> Job | None:
        owner = f"{socket.gethostname()}:{os.getpid()}"
        with self.sessions.begin() as session:
            statement = lease.claim(queue, owner=owner, lease_seconds=self.settings.lease_seconds)
            job: Job | None = session.scalar(statement.execution_options(synchronize_session=False))
            return job
