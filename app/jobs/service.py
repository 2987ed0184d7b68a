"""Finding and cancelling jobs."""

from sqlalchemy import Select, select
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.problem import refuse
from app.contracts.status import TERMINAL, USER_KINDS, JobStatus
from app.jobs import lease
from app.jobs.news import news_of
from app.tables import Job


def users_jobs(tenant_id: str, *, status: JobStatus | None = None) -> Select[Job]:
    statement = select(Job).where(Job.tenant_id == tenant_id, Job.kind.in_(USER_KINDS))
    return statement if status is None else statement.where(Job.status == status)


async def get(session: AsyncSession, job_id: str, *, tenant_id: str) -> Job:
    row = await session.scalar(users_jobs(tenant_id).where(Job.id == job_id))
    if row is None:
        raise refuse("not_found", "There is no such job.")
    return row


async def cancel(session: AsyncSession, job_id: str, *, tenant_id: str) -> Job:
    """Ask a job to stop. Asking again is no error; asking a job that ended otherwise is."""
    before = await get(session, job_id, tenant_id=tenant_id)
    changed: Job | None = await session.scalar(lease.request_cancel(job_id, tenant_id=tenant_id))
    if changed is not None:
        news_of(session).changed.add(job_id)
        return changed
    await session.refresh(before)
    if before.status in TERMINAL - {JobStatus.CANCELLED}:
        raise refuse("invalid_state_transition", f"The job has already {before.status}.")
    return before


async def delete(session: AsyncSession, job_id: str, *, tenant_id: str) -> None:
    """Forget a job that has ended, with all that it left. Its objects go once nothing else refers to them."""
    row = await get(session, job_id, tenant_id=tenant_id)
    gone = delete_rows(Job).where(Job.tenant_id == tenant_id, Job.id == job_id, Job.status.in_(TERMINAL))
    if await session.scalar(gone.returning(Job.id)) is None:
        raise refuse("invalid_state_transition", f"The job is {row.status}.", hint="Cancel it, and wait for its end.")
    news_of(session).changed.add(job_id)
