"""`/healthz`: this process answers. `/readyz`: the parts it depends on answer too."""

import asyncio
from collections.abc import Awaitable
from typing import Literal, cast

import anyio.to_thread
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import text

from app.contracts.codes import CATALOGUE, ProblemCode
from app.contracts.problem import refuse
from app.database import engine_sessions
from app.problems import documented
from app.services import Services
from app.targets.roster import SERVED_QUEUES, live_by_queue
from app.version import VERSION

router = APIRouter(tags=["service"])
log = structlog.get_logger("lowbit.health")

CHECK_TIMEOUT_SECONDS = 3.0


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Says ok or not ok of each part, and nothing more: this page needs no key."""

    status: Literal["ok", "degraded", "not_ready"]
    database: bool
    broker: bool
    storage: bool
    workers: bool = Field(description="Each queue has a live worker. Without one jobs wait, but nothing is refused.")


class Discovery(BaseModel):
    name: Literal["lowbit"] = "lowbit"
    version: str
    openapi: str
    api: str


@router.get("/", operation_id="discover")
async def discover() -> Discovery:
    """Where things are."""
    return Discovery(version=VERSION, openapi="/openapi.json", api="/v1")


@router.get("/healthz", operation_id="healthz")
async def healthz() -> Health:
    """This process answers."""
    return Health()


@router.get(
    "/readyz", operation_id="readyz", responses={503: {"model": Readiness, "description": "A part does not answer."}}
)
async def readyz(request: Request, response: Response, services: Services) -> Readiness:
    """Whether this process should get requests: the database, the broker and the object store answer.

    Missing workers are told but do not count: a balancer that took all API processes away for want of a worker would
    make an outage of a delay.
    """
    database, broker, storage, workers = await asyncio.gather(
        _answers("database", _select_one(request)),
        _answers("broker", request.app.state.announcer.check()),
        _answers("storage", anyio.to_thread.run_sync(services.store.check)),
        _answers("workers", _require_workers(request)),
    )
    ready = database and broker and storage
    response.status_code = 200 if ready else 503
    return Readiness(
        status="not_ready" if not ready else "ok" if workers else "degraded",
        database=database,
        broker=broker,
        storage=storage,
        workers=workers,
    )


async def _select_one(request: Request) -> None:
    async with engine_sessions(request)() as session:
        await session.execute(text("SELECT 1"))


async def _require_workers(request: Request) -> None:
    async with engine_sessions(request)() as session:
        served = {queue for queue, *_ in await session.execute(live_by_queue())}
    if not served >= SERVED_QUEUES:
        raise WorkersMissing


class WorkersMissing(Exception):
    """A queue that requests can fill has no live worker."""


async def _answers(part: str, check: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(check, CHECK_TIMEOUT_SECONDS)
    except Exception as error:  # noqa: BLE001  any failure means the same here: not ready
        log.warning("not ready", part=part, error=type(error).__name__)
        return False
    return True


class KnownProblemRead(BaseModel):
    code: str
    status: int
    title: str
    hint: str | None
    retryable: bool


@router.get(
    "/problems/{code}", response_model=KnownProblemRead, operation_id="get_problem", responses=documented("not_found")
)
async def get_problem(code: str) -> KnownProblemRead:
    """What a problem code means: the address in a problem's `type`."""
    known = CATALOGUE.get(cast("ProblemCode", code))
    if known is None:
        raise refuse("not_found", "There is no such problem code.")
    return KnownProblemRead(
        code=code, status=known.status, title=known.title, hint=known.hint, retryable=known.retryable
    )
