"""The statements that read events. Row-level security bounds each to the caller's tenant as well."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Text, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.status import TERMINAL, USER_KINDS
from app.events.cursor import Cursor
from app.jobs import service
from app.tables import Job, JobEvent
from app.tables.xid8 import Xid8

MOST_UNFINISHED = 200
"""Jobs in the first event of a stream of all; more are found in the list of jobs."""


class Event(NamedTuple):
    job_id: str
    seq: int
    type: Any
    data: dict[str, Any]
    created_at: datetime

    def told(self) -> dict[str, Any]:
        """The data of a server-sent event."""
        return {"job_id": self.job_id, "seq": self.seq, "created_at": self.created_at, **self.data}


class PlacedEvent(NamedTuple):
    event: Event
    cursor: Cursor
    readable: bool
    """All transactions that could still write ahead of it have ended."""


_COLUMNS = (JobEvent.job_id, JobEvent.seq, JobEvent.type, JobEvent.data, JobEvent.created_at)
_HORIZON = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8())


async def of_job(
    session: AsyncSession, job_id: str, *, after: int, limit: int, types: Collection[str] = ()
) -> list[Event]:
    """In the order in which they happened."""
    statement = select(*_COLUMNS).where(JobEvent.job_id == job_id, JobEvent.seq > after)
    if types:
        statement = statement.where(JobEvent.type.in_(types))
    rows = await session.execute(statement.order_by(JobEvent.seq).limit(limit))
    return [Event(*row) for row in rows]


async def of_tenant(session: AsyncSession, tenant_id: str, *, after: Cursor, limit: int) -> list[PlacedEvent]:
    """Those of users' jobs. The ones that are not readable yet come last."""
    place = tuple_(JobEvent.xid, JobEvent.job_id, JobEvent.seq)
    given = tuple_(cast(literal(str(after.transaction), Text), Xid8()), literal(after.job_id), literal(after.seq))
    statement = (
        select(*_COLUMNS, cast(JobEvent.xid, Text), JobEvent.xid < _HORIZON)
        .join(Job, Job.id == JobEvent.job_id)
        .where(JobEvent.tenant_id == tenant_id, Job.kind.in_(USER_KINDS), place > given)
        .order_by(JobEvent.xid, JobEvent.job_id, JobEvent.seq)
        .limit(limit)
    )
    return [
        PlacedEvent(Event(*row[:5]), Cursor(int(row[5]), row.job_id, row.seq), row[6])
        for row in await session.execute(statement)
    ]


async def horizon(session: AsyncSession) -> int:
    """The oldest transaction that may still write events."""
    return int(await session.scalar(select(cast(_HORIZON, Text))) or 0)


async def unfinished_jobs(session: AsyncSession, tenant_id: str) -> Sequence[Job]:
    """The newest first."""
    statement = service.users_jobs(tenant_id).where(Job.status.not_in(TERMINAL))
    return (await session.scalars(statement.order_by(Job.id.desc()).limit(MOST_UNFINISHED))).all()


async def jobs(session: AsyncSession, tenant_id: str, job_ids: Collection[str]) -> Sequence[Job]:
    if not job_ids:
        return []
    statement: Select[Job] = service.users_jobs(tenant_id).where(Job.id.in_(job_ids))
    return (await session.scalars(statement)).all()
