"""The database is away for longer than a lease lasts: the attempt stops in time, and the job does not pay for it."""

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url
from sqlalchemy.orm import sessionmaker

from app.jobs import lease
from app.settings import Settings
from app.tables import Job
from app.tenancy import EVERY_TENANT, seen_by
from tests.faults.proxy import HEALTHY, Faults, Proxy, running_proxy
from tests.servers.postgres import Database
from tests.workers.supervision.conftest import ENDS_WELL, Perform, Sessions, error_of
from workers.supervision.crew import worker_engine

pytestmark = pytest.mark.pace  # so short are the leases and the outages

LEASE_SECONDS = 3.0
SHORT_LEASE: dict[str, object] = {"lease_seconds": LEASE_SECONDS}
OUTAGE_SECONDS = 4.0
WORKS_FOR_EVER = "time.sleep(600)"
FAULTS = pytest.mark.parametrize("fault", [Faults(resets=True), Faults(is_black_hole=True)], ids=["cut", "silent"])


@pytest.fixture
def proxy(quiet_database: Database) -> Iterator[Proxy]:
    folder = make_url(quiet_database.url).query["host"]
    with running_proxy(f"{folder}/.s.PGSQL.5432") as running:
        yield running


@pytest.fixture
def through(quiet_database: Database, proxy: Proxy) -> Iterator[Sessions]:
    """How a worker reaches the database, with the proxy in between."""
    url = make_url(quiet_database.url).set(host="127.0.0.1", port=proxy.port, query={})
    settings = Settings.model_validate({"database_url": url.render_as_string(False), "lease_seconds": LEASE_SECONDS})
    engine = worker_engine(settings, connections=2)
    yield sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    engine.dispose()


def _outage(proxy: Proxy, fault: Faults, *, seconds: float = OUTAGE_SECONDS) -> Callable[[Job], None]:
    def away(_: Job) -> None:
        time.sleep(1.0)
        proxy.faults = fault
        time.sleep(seconds)
        proxy.faults = HEALTHY

    return away


@FAULTS
def test_an_outage_longer_than_a_lease_costs_no_attempt(
    perform: Perform, proxy: Proxy, through: Sessions, fault: Faults
) -> None:
    after = perform(WORKS_FOR_EVER, meanwhile=_outage(proxy, fault), through=through, settings=SHORT_LEASE, attempt=2)
    assert (after.status, after.attempt, after.losses, after.postponements) == ("queued", 1, 0, 1)


@FAULTS
def test_an_end_that_came_during_an_outage_is_written_after_it(
    perform: Perform, proxy: Proxy, through: Sessions, fault: Faults
) -> None:
    script = f"time.sleep(1.5)\n{ENDS_WELL}"
    after = perform(script, meanwhile=_outage(proxy, fault), through=through, settings=SHORT_LEASE)
    assert (after.status, after.attempt, error_of(after)["code"]) == ("failed", 1, "onnx_parse_error")


def test_a_job_that_was_taken_away_during_an_outage_is_not_handed_back(
    perform: Perform, proxy: Proxy, through: Sessions, sessions: Sessions
) -> None:
    """A reaper that sees the database takes the job, and another worker has it when ours comes back."""

    def reaped(job: Job) -> None:
        time.sleep(1.0)
        proxy.faults = Faults(resets=True)
        time.sleep(LEASE_SECONDS + 0.2)  # since the last heartbeat, at the latest
        try:
            with sessions.begin() as session:
                session.execute(lease.reap())
                claim = lease.claim("inspect", owner="other", lease_seconds=60)
                session.execute(claim.execution_options(synchronize_session=False))
        finally:
            proxy.faults = HEALTHY

    after = perform(WORKS_FOR_EVER, meanwhile=reaped, through=through, settings=SHORT_LEASE)
    assert (after.status, after.lease_owner, after.losses, after.postponements) == ("running", "other", 1, 0)
