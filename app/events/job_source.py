"""The events of one job."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.events import queries
from app.events.source import Batch, Frame
from app.events.telling import ends, progress_of, told
from app.tables import Job
from app.tenancy import seen_by

READ_LIMIT = 500


@dataclass(frozen=True)
class JobSource:
    sessions: async_sessionmaker[AsyncSession]
    tenant_id: str
    job_id: str

    async def end(self) -> int:
        job = await self.job()
        return 0 if job is None else job.last_event

    async def job(self) -> Job | None:
        async with self.sessions(info=seen_by(self.tenant_id)) as session:
            return await self._job(session)

    async def read(self, after: int, moved: frozenset[str]) -> Batch[int]:  # noqa: ARG002  only one job can have moved
        async with self.sessions(info=seen_by(self.tenant_id)) as session:
            events = await queries.of_job(session, self.job_id, after=after, limit=READ_LIMIT)
            job = await self._job(session)  # after its events: what it says is at least as new as they are
        if job is None:
            return Batch(after, over=True)
        last = events[-1].seq if events else after
        jobs = {job.id: job}
        frames = [Frame(e.seq, data) for e in events if (data := told(e, str(e.seq), jobs)) is not None]
        # the row may be newer than the events just read: its progress then belongs behind the ones to come
        progress = progress_of(job) if job.last_event <= last else None
        return Batch(
            last,
            frames,
            progress={job.id: progress} if progress else {},
            settled=set() if progress else {job.id},
            more=len(events) == READ_LIMIT,
            over=ends(job, last),
        )

    async def _job(self, session: AsyncSession) -> Job | None:
        found = await queries.jobs(session, self.tenant_id, [self.job_id])
        return found[0] if found else None
