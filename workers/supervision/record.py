"""Writes how an attempt ended: one short transaction, guarded by the lease, after all bytes are in the store."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.contracts.inspection import Notice
from app.contracts.problem import Problem
from app.jobs import events, subjects
from app.jobs import lease as statements
from app.jobs.events import log_line
from app.jobs.retry_class import RULES
from workers.supervision.abnormal_end import AbnormalEnd
from workers.supervision.held_job import HeldJob
from workers.supervision.interruption import LeaseLost
from workers.supervision.job_log import MAX_EVENTS
from workers.supervision.stages import MAX_WARNINGS, storable


def refused(session: Session, held: HeldJob, why: Problem) -> None:
    """The job failed for good; an inspected file is rejected."""
    error = why.model_copy(update={"stage": held.record.current}).model_dump(mode="json", exclude_none=True)
    guarded(session, statements.fail(held.lease, error=error, stages=held.record.shown(failed=True)))
    if held.job.kind in subjects.INSPECTIONS:
        session.execute(subjects.rejected(held.job, why))


def ended_abnormally(session: Session, held: HeldJob, end: AbnormalEnd) -> None:
    """The job runs again, is given up or fails, as its class of retry says. Its log tells how the process ended."""
    stage = held.record.current
    lines = [log_line("error", text, stage=stage) for text in [*end.log_tail, str(end)]]
    session.execute(events.append_log(held.lease, lines, max_events=MAX_EVENTS))
    if RULES[end.retry_class].counter is None:
        refused(session, held, end.problem)
        return
    stages = held.record.shown(failed=True)
    last_cause = end.problem
    after = session.scalar(
        statements.ended_abnormally(held.lease, end.retry_class, last_cause=last_cause, stages=stages)
    )
    if after is None:
        raise LeaseLost
    rejection = subjects.rejection_after(after)
    if rejection is not None:
        session.execute(rejection)


def shown_warnings(found: Sequence[Notice]) -> list[dict[str, Any]]:
    """What the process found worth a warning, in the shape that rows have."""
    return [{"code": storable(w.code), "detail": storable(w.detail)} for w in found[:MAX_WARNINGS]]


def guarded(session: Session, statement: Any) -> None:  # noqa: ANN401  any statement of `app.jobs.lease`
    """Raises LeaseLost if no row was touched."""
    if session.scalar(statement) is None:
        raise LeaseLost
