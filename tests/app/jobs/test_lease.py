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
from app.jobs.retry_class import RULES, RetryClass
from app.jobs.turn import take_turns
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
    with sessions.begin() as session:
        session.execute(take_turns())
        claim = lease.claim("cpu", owner=owner, lease_seconds=60)
        return session.scalar(claim.execution_options(synchronize_session=False))


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
        lambda held: lease.postpone(held, pause_seconds=1),
        lambda held: lease.reused(held, steps=[{"step": "calibrate"}]),
        lambda held: lease.ended_abnormally(held, RetryClass.CRASH, last_cause=CAUSE, stages=[]),
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
    job = make_job(JobStatus.RUNNING, lease_expires_at=LONG_AGO, attempt=3, losses=2)
    _run(sessions, lease.reap())
    after = _read(sessions, job)
    assert (after.status, after.losses) == (JobStatus.FAILED, 3)
    assert after.error is not None
    assert after.error["code"] == "job_quarantined"
    assert "stopped answering" in after.error["detail"]
    assert after.finished_at is not None


def test_crashes_and_losses_have_budgets_of_their_own(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, lease_expires_at=LONG_AGO, attempt=5, losses=1, crashes=2)
    _run(sessions, lease.reap())
    after = _read(sessions, job)
    assert (after.status, after.losses, after.crashes) == (JobStatus.QUEUED, 2, 2)


def test_two_reapers_at_once_take_each_lost_job_once(sessions: Sessions, make_job: MakeJob) -> None:
    jobs = [make_job(JobStatus.RUNNING, lease_expires_at=LONG_AGO) for _ in range(20)]

    def reap(_: int) -> list[str]:
        with sessions.begin() as session:
            return [job.id for job in session.scalars(lease.reap())]

    with ThreadPoolExecutor(4) as pool:
        taken = [job_id for reaped in pool.map(reap, range(4)) for job_id in reaped]
    assert sorted(taken) == sorted(job.id for job in jobs)
    assert {_read(sessions, job).losses for job in jobs} == {1}


def test_a_lost_job_that_was_being_cancelled_is_cancelled(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.CANCELLING, lease_expires_at=LONG_AGO, attempt=3, losses=2)
    _run(sessions, lease.reap())
    assert _read(sessions, job).status == JobStatus.CANCELLED


def test_a_job_given_back_spends_no_attempt(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, attempt=2)
    _run(sessions, lease.give_back(Lease(job.id, 1)))
    after = _read(sessions, job)
    assert (after.status, after.attempt) == (JobStatus.QUEUED, 1)


def test_a_postponed_job_spends_no_attempt_and_waits(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, attempt=2, crashes=1)
    _run(sessions, lease.postpone(Lease(job.id, 1), pause_seconds=60))
    after = _read(sessions, job)
    assert (after.status, after.attempt, after.crashes, after.postponements) == (JobStatus.QUEUED, 1, 1, 1)
    assert _claim(sessions) is None


@pytest.mark.parametrize("why", [RetryClass.CRASH, RetryClass.STALLED])
def test_a_crashed_job_waits_before_its_next_attempt(sessions: Sessions, make_job: MakeJob, why: RetryClass) -> None:
    job = make_job(JobStatus.RUNNING)
    _run(sessions, lease.ended_abnormally(Lease(job.id, 1), why, last_cause=CAUSE, stages=[]))
    after = _read(sessions, job)
    assert (after.status, after.crashes, after.error) == (JobStatus.QUEUED, 1, None)
    assert _claim(sessions) is None  # RULES[why].pause_seconds have begun
    assert RULES[why].pause_seconds > 0


def test_a_quarantined_job_runs_again_when_an_operator_says_so(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING, crashes=2, attempt=3, result=None)
    _run(sessions, lease.ended_abnormally(Lease(job.id, 1), RetryClass.CRASH, last_cause=CAUSE, stages=[]))
    assert _read(sessions, job).status == JobStatus.FAILED
    assert _run(sessions, lease.requeue(job.id)) is not None
    after = _read(sessions, job)
    assert (after.status, after.requeues, after.error, after.finished_at) == (JobStatus.QUEUED, 1, None, None)
    assert (after.attempt, after.crashes, after.losses, after.postponements) == (0, 0, 0, 0)
    assert _run(sessions, lease.requeue(job.id)) is None  # once
    claimed = _claim(sessions)
    assert claimed is not None
    assert claimed.lease_token > job.lease_token


@pytest.mark.parametrize("status", list(JobStatus))
def test_only_a_job_that_was_given_up_can_be_requeued(sessions: Sessions, make_job: MakeJob, status: JobStatus) -> None:
    job = make_job(status, error={"code": "calibration_nonfinite"})
    assert _run(sessions, lease.requeue(job.id)) is None
    assert _read(sessions, job).status == status


def test_a_heartbeat_tells_of_a_cancellation(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job(JobStatus.RUNNING)
    _run(sessions, lease.request_cancel(job.id, tenant_id=DEFAULT_TENANT_ID))
    assert _run(sessions, lease.beat(Lease(job.id, 1), lease_seconds=60)) == JobStatus.CANCELLING


def test_another_tenants_job_cannot_be_cancelled(sessions: Sessions, make_job: MakeJob) -> None:
    job = make_job()
    assert _run(sessions, lease.request_cancel(job.id, tenant_id="tnt_other")) is None
    assert _read(sessions, job).status == JobStatus.QUEUED


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("spent", [0, 2])
@pytest.mark.parametrize("before", list(JobStatus))
def test_every_statement_keeps_to_the_table_of_transitions(
    sessions: Sessions, make_job: MakeJob, before: JobStatus, spent: int, expired: bool
) -> None:
    """Walks all statements from all statuses; what they lead to must be allowed. Terminal ones must not move, but for
    the requeue of a failed job."""
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
        lambda token: lease.postpone(token, pause_seconds=0),
        lambda token: lease.reused(token, steps=[]),
        lambda token: lease.ended_abnormally(token, RetryClass.CRASH, last_cause=CAUSE, stages=[]),
        lambda token: lease.ended_abnormally(token, RetryClass.STALLED, last_cause=CAUSE, stages=[]),
        lambda token: lease.reap(),
        lambda token: lease.request_cancel(token.job_id, tenant_id=DEFAULT_TENANT_ID),
        lambda token: lease.requeue(token.job_id),
    ):
        job = make_job(before, crashes=spent, losses=spent, error={"code": "job_quarantined"}, **held)
        statement = make_statement(Lease(job.id, job.lease_token))
        _run(sessions, statement)
        after = JobStatus(_read(sessions, job).status)
        if after != before:
            seen.add(after)
        with sessions.begin() as session:
            session.delete(session.get_one(Job, job.id))
    assert seen <= TRANSITIONS[before]
    assert (JobStatus.QUEUED in seen) == (before in {JobStatus.RUNNING, JobStatus.FAILED})
