"""The events of all of a tenant's jobs, in one order."""

from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.events import queries
from app.events.cursor import Cursor
from app.events.source import Batch, Frame
from app.events.telling import progress_of, told
from app.tenancy import seen_by

READ_LIMIT = 500


@dataclass(frozen=True)
class TenantSource:
    sessions: async_sessionmaker[AsyncSession]
    tenant_id: str

    async def end(self) -> Cursor:
        async with self.sessions(info=seen_by(self.tenant_id)) as session:
            return Cursor.before(await queries.horizon(session))

    async def read(self, after: Cursor, moved: frozenset[str]) -> Batch[Cursor]:
        async with self.sessions(info=seen_by(self.tenant_id)) as session:
            found = await queries.of_tenant(session, self.tenant_id, after=after, limit=READ_LIMIT)
            readable = list(takewhile(lambda placed: placed.readable, found))
            wanted = moved | {placed.event.job_id for placed in readable if placed.event.type == "done"}
            jobs = {job.id: job for job in await queries.jobs(session, self.tenant_id, wanted)}
        frames = [
            Frame(cursor, data) for event, cursor, _ in readable if (data := told(event, str(cursor), jobs)) is not None
        ]
        progress = {job.id: progress_of(job) for job in jobs.values()}
        return Batch(
            readable[-1].cursor if readable else after,
            frames,
            progress={job_id: found for job_id, found in progress.items() if found is not None},
            settled={job_id for job_id in wanted if progress.get(job_id) is None},
            more=len(readable) == READ_LIMIT,
            behind=len(readable) < len(found),
        )
