"""Finding artifacts."""

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.problem import refuse
from app.tables import Artifact


def of_job(job_id: str, *, tenant_id: str) -> Select[Artifact]:
    return select(Artifact).where(Artifact.tenant_id == tenant_id, Artifact.job_id == job_id)


async def get(session: AsyncSession, artifact_id: str, *, tenant_id: str) -> Artifact:
    row = await session.scalar(select(Artifact).where(Artifact.tenant_id == tenant_id, Artifact.id == artifact_id))
    if row is None:
        raise refuse("not_found", "There is no such artifact.")
    return row
