"""A database session on real Postgres, jobs to play with, and what a worker has inspected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.inspection import DatasetInspection, ModelInspection
from app.contracts.status import JobStatus
from app.ids import new_id
from app.tables import DEFAULT_TENANT_ID, Dataset, File, Job, Model
from app.tenancy import EVERY_TENANT, seen_by
from tests.servers.api import Api
from tests.servers.postgres import Database

MakeJob = Callable[..., Job]
Ready = Callable[..., str]


@pytest.fixture(scope="session")
def sessions(quiet_database: Database) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(quiet_database.url, pool_size=20)
    yield sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    engine.dispose()


@pytest.fixture
def make_job(sessions: sessionmaker[Session]) -> Iterator[MakeJob]:
    """Insert a job in any state; all jobs are removed after the test. No API looks at them."""
    with _making(sessions) as make:
        yield make


@pytest.fixture
def make_shown_job(database: Database) -> Iterator[MakeJob]:
    """The same in the database of the API."""
    engine = create_engine(database.url, poolclass=NullPool)
    with _making(sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))) as make:
        yield make


@contextmanager
def _making(sessions: sessionmaker[Session]) -> Iterator[MakeJob]:
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


@pytest.fixture(scope="module")
def tenant(api: Api, request: pytest.FixtureRequest) -> tuple[str, str]:
    return api.tenant(request.module.__name__.rpartition(".")[2])


@pytest.fixture
def http(api: Api, tenant: tuple[str, str]) -> Any:
    with api.client(tenant[1]) as client:
        yield client


@pytest.fixture
def ready(database: Database, tenant: tuple[str, str]) -> Any:
    """Makes a model or a data set that a worker has inspected."""
    engine = create_engine(database.url, poolclass=NullPool)

    def make(inspection: ModelInspection | DatasetInspection, *, sha256: str | None = None) -> str:
        table, purpose, prefix = (
            (Model, "model", "mdl") if isinstance(inspection, ModelInspection) else (Dataset, "dataset", "ds")
        )
        tenant_id = tenant[0]
        with Session(engine, info=seen_by(tenant_id)) as session, session.begin():
            file = File(
                id=new_id("file"), tenant_id=tenant_id, filename="f", purpose=purpose, format=inspection.format,
                bytes=1, sha256=sha256 or new_id("file"),
            )  # fmt: skip
            session.add(file)
            session.flush()
            row = table(
                id=new_id(prefix), tenant_id=tenant_id, name="r", file_id=file.id, format=inspection.format,
                status="ready", inspection=inspection.model_dump(mode="json"),
            )  # fmt: skip
            session.add(row)
            return row.id

    yield make
    engine.dispose()
