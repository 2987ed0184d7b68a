"""Variants over HTTP."""

from fastapi import APIRouter
from sqlalchemy import select

from app.artifacts import service as artifacts
from app.auth.principal import Caller
from app.contracts.problem import ProblemFound, refuse
from app.jobs import service as jobs
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.tables import Variant
from app.transaction import Transaction
from app.variants.schemas import LayerList, VariantRead

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
        raise _no_such_variant()
    files = list(await session.scalars(artifacts.of_job(row.job_id, tenant_id=caller.tenant_id)))
    return VariantRead.of(row, files)


@router.get(
    "/variants/{variant_id}/layers",
    response_model=LayerList,
    operation_id="list_layers",
    responses=documented("not_found"),
)
async def list_layers(variant_id: str, caller: Caller, session: Transaction) -> LayerList:
    """What became of each layer of one candidate, and how good it is by itself."""
    statement = select(Variant.layers).where(Variant.tenant_id == caller.tenant_id, Variant.id == variant_id)
    layers = await session.scalar(statement)
    if layers is None:
        raise _no_such_variant()
    return LayerList.model_validate({"variant_id": variant_id, "data": layers})


def _no_such_variant() -> ProblemFound:
    return refuse("not_found", "There is no such variant.")
