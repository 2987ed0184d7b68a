"""Whose job is next: tenants take turns by weight; priorities order the jobs within one tenant.

The next job belongs to the tenant with the fewest running jobs in the queue relative to its weight, among those that
have something waiting there; of several, to the one whose last turn is longest ago, weighted again, so that one slot
is shared as fairly as many are; then to the one whose job is oldest. A tenant at its limit of running jobs, or a
disabled one, is passed over. Inspections neither count against that limit nor wait for it.

Claims themselves take turns, a few milliseconds each, more where many tenants wait (two look-ups for each): what one
claim does must be seen by the next one, or twelve that come at once would all favour the same tenant and pass its limit
together.
"""

from sqlalchemy import CTE, ScalarSelect, Select, extract, func, or_, select, true
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import LateralFromClause

from app.contracts.status import LEASED, USER_KINDS, JobStatus
from app.tables import Job, Tenant

CLAIM_LOCK = 0x10B18
"""An advisory lock that nothing else uses."""


def take_turns() -> Select[None]:
    """To be run before a claim, in its transaction, as a statement of its own: the claim must start after it."""
    return select(func.pg_advisory_xact_lock(CLAIM_LOCK))


def next_job(queue: str, *, running_limit: int | None) -> ScalarSelect[str]:
    """The id of the next job, locked. `running_limit` holds for tenants without one of their own.

    A job whose row is locked, say by a cancellation, is skipped; its tenant's next job is found by the next claim.
    """
    running, best, last_turn = _running(queue), _best(queue), _last_turn(queue)
    limit: ColumnElement[int | None] = func.coalesce(Tenant.max_running_jobs, running_limit)
    is_free = or_(limit.is_(None), func.coalesce(running.c.limited, 0) < limit, best.c.kind.not_in(sorted(USER_KINDS)))
    return (
        select(Job.id)
        .select_from(Tenant)
        .join(best, true())
        .join(last_turn, true())
        .outerjoin(running, running.c.tenant_id == Tenant.id)
        .join(Job, Job.id == best.c.id)
        .where(Tenant.disabled_at.is_(None), is_free, Job.status == JobStatus.QUEUED)
        .order_by(
            func.coalesce(running.c.here, 0) / Tenant.weight,
            (extract("epoch", func.clock_timestamp() - last_turn.c.at) * Tenant.weight).desc().nulls_first(),
            Job.id,
        )
        .limit(1)
        .with_for_update(of=Job, skip_locked=True)
        .scalar_subquery()
    )


def _best(queue: str) -> LateralFromClause:
    """Of each tenant, the job that it would have run first."""
    waiting = aliased(Job)
    return (
        select(waiting.id, waiting.kind)
        .where(waiting.tenant_id == Tenant.id, waiting.queue == queue, waiting.status == JobStatus.QUEUED)
        .where(waiting.run_after <= func.clock_timestamp())
        .order_by(waiting.priority.desc(), waiting.id)
        .limit(1)
        .lateral("best")
    )


def _last_turn(queue: str) -> LateralFromClause:
    started = aliased(Job)
    return (
        select(func.max(started.started_at).label("at"))
        .where(started.tenant_id == Tenant.id, started.queue == queue)
        .lateral("last_turn")
    )


def _running(queue: str) -> CTE:
    """Of each tenant that has any: its running jobs in this queue, and those that its limit is about.

    Counted once: Postgres, which expects few tenants, would otherwise count again for each of them.
    """
    held = aliased(Job)
    return (
        select(
            held.tenant_id,
            func.count().filter(held.queue == queue).label("here"),
            func.count().filter(held.kind.in_(sorted(USER_KINDS))).label("limited"),
        )
        .where(held.status.in_(LEASED))
        .group_by(held.tenant_id)
        .cte("running")
        .prefix_with("MATERIALIZED")
    )
