"""Whose job is next, with several tenants on real Postgres."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, func
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobKind, JobStatus
from app.ids import new_id
from app.jobs import lease
from app.jobs.lease import Lease
from app.jobs.turn import take_turns
from app.tables import Job, Tenant
from tests.app.jobs.conftest import MakeJob

Sessions = sessionmaker[Session]
MakeTenant = Callable[..., str]


@pytest.fixture
def make_tenant(sessions: Sessions, make_job: MakeJob) -> Iterator[MakeTenant]:
    made = []

    def make(**fields: object) -> str:
        tenant_id = new_id("tnt")
        made.append(tenant_id)
        with sessions.begin() as session:
            session.add(Tenant(id=tenant_id, name=tenant_id, **fields))
        return tenant_id

    yield make
    with sessions.begin() as session:
        session.execute(delete(Job).where(Job.tenant_id.in_(made)))
        session.execute(delete(Tenant).where(Tenant.id.in_(made)))


def _claim(sessions: Sessions, *, running_limit: int | None = None, pause_seconds: float = 0.0) -> Job | None:
    """A pause before the commit lets claims overlap that do not take turns."""
    with sessions.begin() as session:
        session.execute(take_turns())
        statement = lease.claim("cpu", owner="me", lease_seconds=60, running_limit=running_limit)
        claimed = session.scalar(statement.execution_options(synchronize_session=False))
        time.sleep(pause_seconds)
        return claimed


def _claimed_tenants(sessions: Sessions, number: int, *, running_limit: int | None = None) -> list[str]:
    claims = [_claim(sessions, running_limit=running_limit) for _ in range(number)]
    return [job.tenant_id for job in claims if job is not None]


def _end(sessions: Sessions, job: Job) -> None:
    with sessions.begin() as session:
        session.execute(lease.succeed(Lease(job.id, job.lease_token), result={}, stages=[], warnings=[]))


def test_a_hundred_jobs_of_one_tenant_do_not_keep_another_waiting(
    sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant
) -> None:
    greedy, modest = make_tenant(), make_tenant()
    for _ in range(100):
        make_job(tenant_id=greedy)
    for _ in range(3):
        make_job(tenant_id=modest)
    assert Counter(_claimed_tenants(sessions, 6)) == {greedy: 3, modest: 3}


def test_one_slot_is_shared_in_turns(sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant) -> None:
    """With one worker nobody ever has a running job when the next is chosen."""
    greedy, modest = make_tenant(), make_tenant()
    for tenant_id in [greedy] * 10 + [modest] * 3:
        make_job(tenant_id=tenant_id)
    order = []
    for _ in range(6):
        job = _claim(sessions)
        assert job is not None
        order.append(job.tenant_id)
        _end(sessions, job)
    assert order == [greedy, modest] * 3


def test_a_weight_of_three_gets_three_times_as_many_slots(
    sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant
) -> None:
    heavy, light = make_tenant(weight=3.0), make_tenant(weight=1.0)
    for tenant_id in [light, heavy] * 12:
        make_job(tenant_id=tenant_id)
    assert Counter(_claimed_tenants(sessions, 12)) == {heavy: 9, light: 3}


def test_priorities_count_within_a_tenant_only(sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant) -> None:
    loud, quiet = make_tenant(), make_tenant()
    ordinary, urgent = make_job(tenant_id=loud), make_job(tenant_id=loud, priority=10)
    other = make_job(tenant_id=quiet)
    claims = [_claim(sessions) for _ in range(3)]
    by_tenant = {loud: [urgent.id, ordinary.id], quiet: [other.id]}
    for tenant_id, expected in by_tenant.items():
        assert [job.id for job in claims if job is not None and job.tenant_id == tenant_id] == expected
    assert {job.tenant_id for job in claims[:2] if job is not None} == {loud, quiet}


def test_a_limit_of_running_jobs_holds_even_when_twelve_claim_at_once(
    sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant
) -> None:
    limited, other = make_tenant(max_running_jobs=2), make_tenant()
    for tenant_id in [limited] * 12 + [other] * 3:
        make_job(tenant_id=tenant_id)
    with ThreadPoolExecutor(12) as pool:
        claims = list(pool.map(lambda _: _claim(sessions, pause_seconds=0.05), range(12)))
    assert Counter(job.tenant_id for job in claims if job is not None) == {limited: 2, other: 3}


def test_the_service_limit_holds_for_tenants_without_one_and_not_for_inspections(
    sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant
) -> None:
    tenant_id = make_tenant()
    for _ in range(3):
        make_job(tenant_id=tenant_id)
    assert len(_claimed_tenants(sessions, 3, running_limit=1)) == 1
    make_job(tenant_id=tenant_id, kind=JobKind.INSPECT_MODEL, priority=1)
    assert len(_claimed_tenants(sessions, 2, running_limit=1)) == 1


def test_a_disabled_tenants_jobs_stay_where_they_are(
    sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant
) -> None:
    tenant_id = make_tenant(disabled_at=func.clock_timestamp())
    make_job(tenant_id=tenant_id)
    assert _claim(sessions) is None


def test_a_job_that_is_being_cancelled_is_skipped_and_not_waited_for(
    sessions: Sessions, make_job: MakeJob, make_tenant: MakeTenant
) -> None:
    first, second = make_tenant(), make_tenant()
    held, free = make_job(tenant_id=first), make_job(tenant_id=second)
    with sessions.begin() as session:
        session.execute(lease.request_cancel(held.id, tenant_id=first))
        claimed = _claim(sessions)
    assert claimed is not None
    assert (claimed.id, claimed.status) == (free.id, JobStatus.RUNNING)
