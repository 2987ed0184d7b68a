"""Every statement that changes a job's status. Async API and sync workers run the same ones.

A claim takes a lease with a fencing token that rises by one. All later writes of that attempt carry the token; when
they touch no row, the lease is lost and the writer must stop and write nothing. The database's clock is the only
clock, and `app.contracts.status.TRANSITIONS` is the table that these statements must respect.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, Update, and_, case, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from app.contracts.codes import ProblemCode
from app.contracts.problem import Problem, problem
from app.contracts.status import LEASED, TERMINAL, TRANSITIONS, JobStatus
from app.jobs.retry_class import RULES, RetryClass, RetryRule
from app.jobs.turn import next_job
from app.tables import Job

GIVEN_UP: tuple[ProblemCode, ...] = ("job_quarantined", "artifact_store_unavailable")
"""How jobs fail that an operator may let run again: nothing is known to be wrong with them."""


class Lease(NamedTuple):
    """What an attempt shows with every write."""

    job_id: str
    token: int


def claim(queue: str, *, owner: str, lease_seconds: float, running_limit: int | None = None) -> Update:
    """Take the job whose turn it is. `turn.take_turns` comes first, in the same transaction."""
    best = next_job(queue, running_limit=running_limit)
    return (
        update(Job)
        .where(Job.id == best, Job.status == JobStatus.QUEUED)
        .values(
            status=JobStatus.RUNNING,
            attempt=Job.attempt + 1,
            lease_token=Job.lease_token + 1,
            lease_owner=owner,
            heartbeat_at=func.clock_timestamp(),
            lease_expires_at=_from_now(lease_seconds),
            started_at=func.coalesce(Job.started_at, func.clock_timestamp()),
            version=Job.version + 1,
            **_FRESH,
        )
        .returning(Job)
    )


def beat(lease: Lease, *, lease_seconds: float) -> Update:
    """Extend the lease; the answer tells whether the user wants the job to stop."""
    return (
        _held(lease)
        .values(heartbeat_at=func.clock_timestamp(), lease_expires_at=_from_now(lease_seconds))
        .returning(Job.status)
    )


def report(
    lease: Lease,
    *,
    lease_seconds: float,
    stage: str | None,
    stages: Sequence[dict[str, Any]],
    progress: dict[str, Any] | None,
    warnings: Sequence[dict[str, Any]],
) -> Update:
    """A heartbeat that also shows how far the work is."""
    return (
        _held(lease)
        .values(
            heartbeat_at=func.clock_timestamp(),
            lease_expires_at=_from_now(lease_seconds),
            stage=stage,
            stages=list(stages),
            progress=progress,
            warnings=list(warnings),
            version=Job.version + 1,
        )
        .returning(Job.status)
    )


def reused(lease: Lease, *, steps: Sequence[dict[str, Any]]) -> Update:
    """Show which steps' results were taken over instead of being worked out again."""
    return (
        _held(lease)
        .values(reused=Job.reused.op("||")(literal(list(steps), JSONB())), version=Job.version + 1)
        .returning(Job.status)
    )


def succeed(
    lease: Lease, *, result: dict[str, Any], stages: Sequence[dict[str, Any]], warnings: Sequence[dict[str, Any]]
) -> Update:
    return _ended(lease, JobStatus.SUCCEEDED, result=result, stages=list(stages), warnings=list(warnings))


def fail(lease: Lease, *, error: dict[str, Any], stages: Sequence[dict[str, Any]]) -> Update:
    """End the job for good: the same attempt would fail again."""
    return _ended(lease, JobStatus.FAILED, error=error, stages=list(stages))


def cancelled(lease: Lease, *, stages: Sequence[dict[str, Any]]) -> Update:
    """The work was stopped as the user asked."""
    return _ended(lease, JobStatus.CANCELLED, stages=list(stages)).where(Job.status == JobStatus.CANCELLING)


def give_back(lease: Lease) -> Update:
    """Return the job unharmed: this worker is told to stop. It costs no attempt and no budget."""
    return _returned(lease)


def postpone(lease: Lease, *, pause_seconds: float) -> Update:
    """Return the job unharmed, for later: what it needs is away. It costs no attempt, but time that is bounded."""
    return _returned(lease).values(postponements=Job.postponements + 1, run_after=_from_now(pause_seconds))


def ended_abnormally(lease: Lease, why: RetryClass, *, last_cause: Problem, stages: Sequence[dict[str, Any]]) -> Update:
    """The attempt came to nothing. Try again after a pause, until the budget of its class is used up."""
    return _held(lease).values(**_retried_or_quarantined(RULES[why], last_cause, stages)).returning(Job)


def reap() -> Update:
    """Take jobs from workers that have fallen silent. Safe to run twice at once."""
    silent = (
        select(Job.id)
        .where(Job.status.in_(LEASED), Job.lease_expires_at < func.clock_timestamp())
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    lost = problem("worker_lost", "The worker stopped answering.")
    return (
        update(Job)
        .where(Job.id.in_(silent))
        .values(**_retried_or_quarantined(RULES[RetryClass.LOST], lost, stages=[]))
        .returning(Job)
        .execution_options(synchronize_session=False)
    )


def requeue(job_id: str) -> Update:
    """For an operator: let a job that was given up run again, with every budget fresh."""
    return (
        update(Job)
        .where(Job.id == job_id, Job.status == JobStatus.FAILED, Job.error["code"].astext.in_(GIVEN_UP))
        .values(
            status=JobStatus.QUEUED,
            attempt=0,
            crashes=0,
            losses=0,
            postponements=0,
            requeues=Job.requeues + 1,
            run_after=func.clock_timestamp(),
            finished_at=None,
            **_unleased(),
            **_FRESH,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


def request_cancel(job_id: str, *, tenant_id: str) -> Update:
    """A queued job is cancelled at once; a running one is asked to stop."""
    at_once = Job.status == JobStatus.QUEUED
    return (
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.id == job_id)
        .where(Job.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]))
        .values(
            status=case((at_once, JobStatus.CANCELLED), else_=JobStatus.CANCELLING),
            cancel_requested_at=func.clock_timestamp(),
            finished_at=case((at_once, func.clock_timestamp()), else_=null()),
            version=Job.version + 1,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


def waiting_queues() -> Select[str]:
    """Queues in which a job could start now."""
    return (
        select(Job.queue)
        .where(Job.status == JobStatus.QUEUED, Job.run_after <= func.clock_timestamp())
        .group_by(Job.queue)
    )


_FRESH: dict[str, Any] = {
    "stage": None,
    "stages": [],
    "progress": None,
    "warnings": [],
    "error": None,
    "reused": [],
}
"""What an attempt starts from; nothing of the previous one is shown."""


def _held(lease: Lease) -> Update:
    return (
        update(Job)
        .where(Job.id == lease.job_id, Job.lease_token == lease.token, Job.status.in_(LEASED))
        .execution_options(synchronize_session=False)
    )


def _ended(lease: Lease, status: JobStatus, **values: object) -> Update:
    assert status in TERMINAL
    assert status in TRANSITIONS[JobStatus.CANCELLING]
    return (
        _held(lease)
        .values(status=status, stage=None, progress=None, finished_at=func.clock_timestamp(), **_unleased(), **values)
        .returning(Job.status)
    )


def _unleased() -> dict[str, Any]:
    """The token rises here too: a writer that wakes up late must not be taken for the next owner."""
    return {
        "lease_owner": None,
        "lease_expires_at": None,
        "lease_token": Job.lease_token + 1,
        "version": Job.version + 1,
    }


def _returned(lease: Lease) -> Update:
    return (
        _held(lease)
        .values(
            status=_unless_cancelling(JobStatus.QUEUED),
            attempt=Job.attempt - 1,
            finished_at=_finished_if_cancelling(),
            **_unleased(),
            **_FRESH,
        )
        .returning(Job.status)
    )


def _retried_or_quarantined(rule: RetryRule, last_cause: Problem, stages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stages of the last attempt are kept if it was the last; another attempt starts from nothing."""
    assert rule.counter is not None
    count = getattr(Job, rule.counter) + 1
    used_up = and_(Job.status == JobStatus.RUNNING, count >= Job.max_attempts)
    over = or_(Job.status == JobStatus.CANCELLING, used_up)
    return {
        "status": case(
            (Job.status == JobStatus.CANCELLING, JobStatus.CANCELLED),
            (used_up, JobStatus.FAILED),
            else_=JobStatus.QUEUED,
        ),
        rule.counter: count,
        "run_after": func.clock_timestamp() + _interval(count * rule.pause_seconds),
        "error": case((used_up, _quarantine_error(last_cause)), else_=null()),
        "finished_at": case((over, func.clock_timestamp()), else_=null()),
        "stages": case((over, literal(list(stages), JSONB())), else_=literal([], JSONB())),
        "stage": None,
        "progress": None,
        "warnings": [],
        **_unleased(),
    }


def _quarantine_error(last_cause: Problem) -> ColumnElement[Any]:
    found = problem(
        "job_quarantined",
        f"Attempt after attempt ended abnormally; the last one: {last_cause.detail}",
        hint="The model or the data may exceed what one job may use; the job's log says more.",
    )
    return literal(found.model_dump(mode="json", exclude_none=True), JSONB())


def _unless_cancelling(otherwise: JobStatus) -> ColumnElement[str]:
    return case((Job.status == JobStatus.CANCELLING, JobStatus.CANCELLED), else_=otherwise)


def _finished_if_cancelling() -> ColumnElement[Any]:
    return case((Job.status == JobStatus.CANCELLING, func.clock_timestamp()), else_=null())


def _from_now(seconds: float) -> ColumnElement[Any]:
    return func.clock_timestamp() + _interval(literal(seconds))


def _interval(seconds: ColumnElement[Any]) -> ColumnElement[Any]:
    # its arguments are years, months, weeks, days, hours, minutes and seconds
    return func.make_interval(0, 0, 0, 0, 0, 0, seconds)
