"""The statements that decide who works on what, on real Postgres."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Update
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.problem import problem
from app.contracts.status import LEASED, TRANSITIONS, JobStatus
from app.jobs import lease
from app.jobs.lease import Lease
from app.tables import DEFAULT_TENANT_ID, Job
from tests.app.jobs.conftest import MakeJob

Sessions = sessionmaker[Session]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CAUSE = problem("worker_lost", "The process died.")


def _read(sessions: Sessions, job: Job) -> Job:
    with sessions() as session:
        return session.get_one(Job, job.id)


def _run(sessions: Sessions, statement: Update) -> object:
    with sessions.begin() as session:
        return session.scalar(statement.execution_options(synchronize_session=False))


def _claim(sessions: Sessions, owner: str = "me") -> Job | None:
    found = _run(sessions, lease.claim("cpu", owner=owner, lease_seconds=60))
    assert found is None or isinstance(found, Job)
    return found


def test_twelve_concurrent_claims_of_one_job_have_one_winner(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job()
    with ThreadPoolExecutor(12) as pool:
        claims = list(pool.map(lambda n: _claim(sessions, f"worker-{n}"), range(12)))
    winners = [claim for claim in claims if claim is not None]
    assert [claim.id for claim in winners] == [job.id]
    after = _read(sessions, job)
    assert (after.status, after.attempt, after.lease_token) == (JobStatus.RUNNING, 1, 1)


def test_twelve_concurrent_claims_of_twelve_jobs_take_each_once(sessions: Sessions, make_job: MakeJob) -> None:
    jobs = {make_job().id for _ in range(12)}
    with ThreadPoolExecutor(12) as pool:
        claims = list(pool.map(lambda n: _claim(sessions, f"worker-{n}"), range(12)))
    assert {claim.id for claim in claims if claim} == jobs


def test_higher_priority_goes_first_then_age(sessions: Sessions, make_job: MakeJob) -> None:
    first, urgent, last = make_job(), make_job(priority=5), make_job()
    assert [claim.id for claim in (_claim(sessions), _claim(sessions), _claim(sessions)) if claim] == [
        urgent.id,
        first.id,
        last.id,
    ]


def test_a_job_of_another_queue_or_of_later_is_left_alone(sessions: Sessions, make_job: MakeJob) -> None:
    make_job(queue="gpu")
    make_job(run_after=datetime.now(UTC) + timedelta(hours=1))
    assert _claim(sessions) is None


@pytest.mark.parametrize(
    "statement",
    [
        lambda held: lease.beat(held, lease_seconds=60),
        lambda held: lease.report(held, lease_seconds=60, stage="fetch", stages=[], progress=None, warnings=[]),
        lambda held: lease.succeed(held, result={}, stages=[], warnings=[]),
        lambda held: lease.fail(held, error={}, stages=[]),
        lease.give_back,
        lambda held: lease.crashed(held, last_cause=CAUSE, stages=[]),
    ],
)
def test_an_old_token_writes_nothing(sessions: Sessions, make_job: MakeJob, statement: object) -> None:
    job = make_job(JobStatus.RUNNING, lease_token=7)
    before = _read(sessions, job)
    assert callable(statement)
    assert _run(sessions, statement(Lease(job.id, 6))) is None
    after = _read(sessions, job)
    assert (after.status, after.version, after.heartbeat_at) == (before.status, before.version, before.heartbeat_at)


def test_a_lost_job_is_queued_again_and_its_old_owner_is_fenced_off(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, lease_expires_at=LONG_AGO)
    _run(sessions, lease.reap())
    after = _read(sessions, job)
    assert (after.status, after.lease_owner, after.attempt) == (JobStatus.QUEUED, None, 1)
    assert _run(sessions, lease.succeed(Lease(job.id, job.lease_token), result={}, stages=[], warnings=[])) is None


def test_a_job_whose_lease_holds_is_not_reaped(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    _run(sessions, lease.reap())
    assert _read(sessions, job).status == JobStatus.RUNNING


def test_the_last_loss_quarantines_the_job_with_a_code(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, lease_expires_at=LONG_AGO, attempt=3, max_attempts=3)
    _run(sessions, lease.reap())
    after = _read(sessions, job)
    assert after.status == JobStatus.FAILED
    assert after.error is not None
    assert after.error["code"] == "job_quarantined"
    assert after.finished_at is not None


def test_a_lost_job_that_was_being_cancelled_is_cancelled(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.CANCELLING, lease_expires_at=LONG_AGO, attempt=3, max_attempts=3)
    _run(sessions, lease.reap())
    assert _read(sessions, job).status == JobStatus.CANCELLED


def test_a_job_given_back_spends_no_attempt(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, attempt=2)
    _run(sessions, lease.give_back(Lease(job.id, 1)))
    after = _read(sessions, job)
    assert (after.status, after.attempt) == (JobStatus.QUEUED, 1)


def test_a_crashed_job_waits_before_its_next_attempt(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    _run(sessions, lease.crashed(Lease(job.id, 1), last_cause=CAUSE, stages=[]))
    assert _read(sessions, job).status == JobStatus.QUEUED
    assert _claim(sessions) is None  # the pause of CRASH_BACKOFF_SECONDS has begun


def test_a_heartbeat_tells_of_a_cancellation(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    _run(sessions, lease.request_cancel(job.id, tenant_id=DEFAULT_TENANT_ID))
    assert _run(sessions, lease.beat(Lease(job.id, 1), lease_seconds=60)) == JobStatus.CANCELLING


def test_another_tenants_job_cannot_be_cancelled(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job()
    assert _run(sessions, lease.request_cancel(job.id, tenant_id="tnt_other")) is None
    assert _read(sessions, job).status == JobStatus.QUEUED


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("attempt", [1, 3])
@pytest.mark.parametrize("before", list(JobStatus))
def test_every_statement_keeps_to_the_table_of_transitions(
    sessions: Sessions, make_job: MakeJob, before: JobStatus, attempt: int, expired: bool
) -> None:
    """Walks all statements from all statuses; what they lead to must be allowed, and terminal ones must not move."""
    held = {"lease_expires_at": LONG_AGO} if expired and before in LEASED else {}
    seen = set()
    for make_statement in (
        lambda token: lease.claim("cpu", owner="me", lease_seconds=60),
        lambda token: lease.beat(token, lease_seconds=60),
        lambda token: lease.report(token, lease_seconds=60, stage=None, stages=[], progress=None, warnings=[]),
        lambda token: lease.succeed(token, result={}, stages=[], warnings=[]),
        lambda token: lease.fail(token, error={}, stages=[]),
        lambda token: lease.cancelled(token, stages=[]),
        lease.give_back,
        lambda token: lease.crashed(token, last_cause=CAUSE, stages=[]),
        lambda token: lease.reap(),
        lambda token: lease.request_cancel(token.job_id, tenant_id=DEFAULT_TENANT_ID),
    ):
        job = make_job(before, attempt=attempt, **held)
        _run(sessions, make_statement(Lease(job.id, job.lease_token)))
        after = JobStatus(_read(sessions, job).status)
        if after != before:
            seen.add(after)
            _run(sessions, lease.reap())
        with sessions.begin() as session:
            session.delete(session.get_one(Job, job.id))
    assert seen <= TRANSITIONS[before]
    if attempt == 1 and not TRANSITIONS[before]:
        assert not seen
