"""Garbage over HTTP, for operators: look at it, or have it collected now."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from app.contracts.problem import refuse
from app.database import engine_sessions
from app.garbage.collection import Collector
from app.garbage.found import Sums
from app.garbage.schemas import GarbageRead
from app.garbage.single_runner import CollectionUnderWay, single_runner
from app.problems import documented
from app.services import Services
from app.storage import StorageError
from app.tenants.dependency import operator_transaction

router = APIRouter(prefix="/v1/admin/garbage", tags=["admin"])


def _collector(request: Request, services: Services) -> Collector:
    return Collector.of(engine_sessions(request), services.store, services.settings)


CollectorOfAll = Annotated[Collector, Depends(_collector)]


@router.get(
    "",
    response_model=GarbageRead,
    operation_id="get_garbage",
    responses=documented("forbidden", "artifact_store_unavailable"),
)
async def get_garbage(collector: CollectorOfAll) -> GarbageRead:
    """What a collection would remove now. Nothing is removed."""
    try:
        return GarbageRead.of(await Sums.of(collector.find()), removed=False)
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The store cannot be listed.") from error


@router.post(
    "",
    response_model=GarbageRead,
    operation_id="collect_garbage",
    dependencies=[Depends(operator_transaction, scope="function")],  # writes the audit log's entry
    responses=documented("forbidden", "resource_in_use", "artifact_store_unavailable"),
)
async def collect_garbage(collector: CollectorOfAll) -> GarbageRead:
    """Collect garbage now, rather than when its hour comes."""
    try:
        async with single_runner(collector.sessions):
            return GarbageRead.of(await Sums.of(collector.collect()), removed=True)
    except CollectionUnderWay as error:
        raise refuse("resource_in_use", "A collection is under way.") from error
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The store does not answer.") from error
