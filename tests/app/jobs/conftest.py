"""A database session on real Postgres, and jobs to play with."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.ids import new_id
from app.tables import DEFAULT_TENANT_ID, Job
from app.tenancy import EVERY_TENANT, seen_by
from tests.servers.postgres import Database

MakeJob = Callable[..., Job]


@pytest.fixture(scope="session")
def sessions(database: Database) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(database.url, pool_size=20)
    yield sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    engine.dispose()


@pytest.fixture
def make_job(sessions: sessionmaker[Session]) -> Iterator[MakeJob]:
    """Insert a job in any state; all jobs are removed after the test."""

    def make(status: JobStatus = JobStatus.QUEUED, **fields: object) -> Job:
        leased = status in {JobStatus.RUNNING, JobStatus.CANCELLING}
        values: dict[str, object] = {
            "id": new_id("job"),
            "tenant_id": DEFAULT_TENANT_ID,
            "kind": "quantize",
            "queue": "cpu",
            "name": "test",
            "max_attempts": 3,
            "status": status,
            "attempt": 1 if leased else 0,
            "lease_token": 1 if leased else 0,
            "lease_owner": "somebody" if leased else None,
        }
        job = Job(**{**values, **fields})
        with sessions.begin() as session:
            if leased and job.lease_expires_at is None:
                job.lease_expires_at = session.scalar(text("SELECT clock_timestamp() + interval '1 minute'"))
            session.add(job)
        return job

    yield make
    with sessions.begin() as session:
        session.execute(text("DELETE FROM jobs"))
