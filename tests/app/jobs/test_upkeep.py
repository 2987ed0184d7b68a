"""The background loop of the API, with a real Postgres behind a proxy."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.jobs import upkeep
from app.jobs.announce import Announcer
from app.settings import Settings
from app.tables import Job
from app.tenancy import EVERY_TENANT, seen_by
from tests.app.jobs.conftest import MakeJob
from tests.faults.proxy import HEALTHY, Faults, Proxy, running_proxy
from tests.servers.postgres import Database

pytestmark = pytest.mark.pace  # what is taken, and when, in tenths of a lease of one second

LEASE_SECONDS = 1.0
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)
QUICK = Settings.model_validate({"lease_seconds": LEASE_SECONDS, "reap_seconds": 0.1, "dispatch_seconds": 0.1})
NO_BROKER = Announcer("redis://127.0.0.1:1")

Run = Callable[[Callable[[], None]], None]


class _Expired:
    """A job whose lease has run out."""

    def __init__(self, sessions: sessionmaker[Session], job: Job) -> None:
        self._sessions = sessions
        self._job = job

    def is_reaped(self) -> bool:
        with self._sessions() as session:
            return session.get_one(Job, self._job.id).losses == 1

    def is_reaped_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.is_reaped():
                return True
            time.sleep(0.05)
        return False


MakeExpired = Callable[[], _Expired]


@pytest.fixture
def proxy(quiet_database: Database) -> Iterator[Proxy]:
    with running_proxy(f"{make_url(quiet_database.url).query['host']}/.s.PGSQL.5432") as running:
        yield running


@pytest.fixture
def run(quiet_database: Database, proxy: Proxy) -> Run:
    """Do something while the loop runs that reaches the database through the proxy, and the broker not at all."""

    async def beside_upkeep(meanwhile: Callable[[], None]) -> None:
        url = make_url(quiet_database.url).set(host="127.0.0.1", port=proxy.port, query={})
        engine = create_async_engine(url, pool_pre_ping=True)
        sessions = async_sessionmaker(engine, class_=AsyncSession, info=seen_by(EVERY_TENANT))
        loop = asyncio.create_task(upkeep.keep_up(sessions, NO_BROKER, QUICK))
        try:
            await asyncio.to_thread(meanwhile)
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await engine.dispose()

    return lambda meanwhile: asyncio.run(beside_upkeep(meanwhile))


@pytest.fixture
def expired(sessions: sessionmaker[Session], make_job: MakeJob) -> MakeExpired:
    return lambda: _Expired(sessions, make_job(JobStatus.RUNNING, lease_expires_at=EXPIRED))


def test_a_lost_job_is_taken_at_once_even_without_a_broker(run: Run, expired: MakeExpired) -> None:
    def meanwhile() -> None:
        assert expired().is_reaped_within(1.0)
        assert expired().is_reaped_within(1.0)

    run(meanwhile)


def test_after_a_long_outage_workers_have_the_length_of_a_lease(run: Run, expired: MakeExpired, proxy: Proxy) -> None:
    def meanwhile() -> None:
        assert expired().is_reaped_within(1.0)
        proxy.faults = Faults(resets=True)
        time.sleep(LEASE_SECONDS)
        job = expired()
        proxy.faults = HEALTHY
        assert not job.is_reaped_within(0.8 * LEASE_SECONDS)
        assert job.is_reaped_within(1.0)

    run(meanwhile)


def test_a_short_outage_changes_nothing(run: Run, expired: MakeExpired, proxy: Proxy) -> None:
    def meanwhile() -> None:
        assert expired().is_reaped_within(1.0)
        proxy.faults = Faults(resets=True)
        time.sleep(0.15)
        job = expired()
        proxy.faults = HEALTHY
        assert job.is_reaped_within(0.7 * LEASE_SECONDS)

    run(meanwhile)
