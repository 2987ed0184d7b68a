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

PATIENCE_SECONDS = 120.0
"""For what has to come about, however slow the machine is."""
SHORT_LEASE_SECONDS = 1.0
LONG_LEASE_SECONDS = 600.0
"""Nobody waits so long: what is taken sooner was not spared for the length of a lease."""
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)
NO_BROKER = Announcer("redis://127.0.0.1:1")

Run = Callable[..., None]


class _Expired:
    """A job whose lease has run out."""

    def __init__(self, sessions: sessionmaker[Session], job: Job) -> None:
        self._sessions = sessions
        self._job = job

    def is_reaped(self) -> bool:
        with self._sessions() as session:
            return session.get_one(Job, self._job.id).losses == 1

    def wait_until_reaped(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_reaped():
            assert time.monotonic() < deadline
            time.sleep(0.02)


MakeExpired = Callable[[], _Expired]


@pytest.fixture
def proxy(quiet_database: Database) -> Iterator[Proxy]:
    with running_proxy(f"{make_url(quiet_database.url).query['host']}/.s.PGSQL.5432") as running:
        yield running


@pytest.fixture
def run(quiet_database: Database, proxy: Proxy) -> Run:
    """Do something while the loop runs that reaches the database through the proxy, and the broker not at all."""

    async def beside_upkeep(meanwhile: Callable[[], None], lease_seconds: float) -> None:
        settings = {"lease_seconds": lease_seconds, "reap_seconds": 0.1, "dispatch_seconds": 0.1}
        url = make_url(quiet_database.url).set(host="127.0.0.1", port=proxy.port, query={})
        engine = create_async_engine(url, pool_pre_ping=True)
        sessions = async_sessionmaker(engine, class_=AsyncSession, info=seen_by(EVERY_TENANT))
        loop = asyncio.create_task(upkeep.keep_up(sessions, NO_BROKER, Settings.model_validate(settings)))
        try:
            await asyncio.to_thread(meanwhile)
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await engine.dispose()

    return lambda meanwhile, *, lease_seconds: asyncio.run(beside_upkeep(meanwhile, lease_seconds))


@pytest.fixture
def expired(sessions: sessionmaker[Session], make_job: MakeJob) -> MakeExpired:
    return lambda: _Expired(sessions, make_job(JobStatus.RUNNING, lease_expires_at=EXPIRED))


def _wait_until_noticed(proxy: Proxy) -> None:
    """Until the loop has met the outage: it makes one connection a round, and the last may not have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while proxy.refused < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_lost_job_is_taken_at_once_even_without_a_broker(run: Run, expired: MakeExpired) -> None:
    def meanwhile() -> None:
        expired().wait_until_reaped()
        expired().wait_until_reaped()

    run(meanwhile, lease_seconds=LONG_LEASE_SECONDS)


def test_after_a_long_outage_workers_have_the_length_of_a_lease(run: Run, expired: MakeExpired, proxy: Proxy) -> None:
    def meanwhile() -> None:
        expired().wait_until_reaped()
        proxy.faults = Faults(resets=True)
        _wait_until_noticed(proxy)
        time.sleep(SHORT_LEASE_SECONDS)  # twice as long as what is harmless
        job = expired()
        healthy_at = time.monotonic()
        proxy.faults = HEALTHY
        job.wait_until_reaped()
        assert time.monotonic() - healthy_at >= SHORT_LEASE_SECONDS

    run(meanwhile, lease_seconds=SHORT_LEASE_SECONDS)


def test_a_short_outage_changes_nothing(run: Run, expired: MakeExpired, proxy: Proxy) -> None:
    def meanwhile() -> None:
        expired().wait_until_reaped()
        proxy.faults = Faults(resets=True)
        _wait_until_noticed(proxy)  # in less than the 300 s that are harmless
        job = expired()
        proxy.faults = HEALTHY
        job.wait_until_reaped()

    run(meanwhile, lease_seconds=LONG_LEASE_SECONDS)
