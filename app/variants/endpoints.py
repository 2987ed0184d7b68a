"""Variants over HTTP."""

from fastapi import APIRouter
from sqlalchemy import select

from app.artifacts import service as artifacts
from app.auth.principal import Caller
from app.contracts.problem import refuse
from app.database import Transaction
from app.jobs import service as jobs
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.tables import Variant
from app.variants.schemas import VariantRead

router = APIRouter(prefix="/v1", tags=["variants"])


@router.get(
    "/jobs/{job_id}/variants",
    response_model=Listing[VariantRead],
    operation_id="list_variants",
    responses=documented("not_found", "invalid_cursor"),
)
async def list_variants(job_id: str, page: PageQuery, caller: Caller, session: Transaction) -> dict[str, object]:
    """Every candidate of a job, and the float baseline."""
    await jobs.get(session, job_id, tenant_id=caller.tenant_id)
    statement = select(Variant).where(Variant.tenant_id == caller.tenant_id, Variant.job_id == job_id)
    rows = (await session.scalars(one_page(statement, Variant.id, page, prefix="var"))).all()
    files = list(await session.scalars(artifacts.of_job(job_id, tenant_id=caller.tenant_id)))
    return listing([VariantRead.of(row, files) for row in rows], page)


@router.get(
    "/variants/{variant_id}", response_model=VariantRead, operation_id="get_variant", responses=documented("not_found")
)
async def get_variant(variant_id: str, caller: Caller, session: Transaction) -> VariantRead:
    """One candidate."""
    row = await session.scalar(select(Variant).where(Variant.tenant_id == caller.tenant_id, Variant.id == variant_id))
    if row is None:
        raise refuse("not_found", "There is no such variant.")
    files = list(await session.scalars(artifacts.of_job(row.job_id, tenant_id=caller.tenant_id)))
    return VariantRead.of(row, files)
