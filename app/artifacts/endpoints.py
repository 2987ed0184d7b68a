"""Artifacts over HTTP."""

from fastapi import APIRouter, Request, Response

from app.artifacts import service
from app.artifacts.schemas import ArtifactRead
from app.auth.principal import Caller
from app.content import CONTENT_RESPONSES, Stored, serve
from app.jobs import service as jobs
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.services import Services
from app.tables import Artifact
from app.transaction import Transaction, tenant_session

router = APIRouter(prefix="/v1", tags=["artifacts"])


@router.get(
    "/jobs/{job_id}/artifacts",
    response_model=Listing[ArtifactRead],
    operation_id="list_artifacts",
    responses=documented("not_found", "invalid_cursor"),
)
async def list_artifacts(job_id: str, page: PageQuery, caller: Caller, session: Transaction) -> dict[str, object]:
    """What a job has made."""
    await jobs.get(session, job_id, tenant_id=caller.tenant_id)
    statement = one_page(service.of_job(job_id, tenant_id=caller.tenant_id), Artifact.id, page, prefix="art")
    rows = (await session.scalars(statement)).all()
    return listing([ArtifactRead.of(row) for row in rows], page)


@router.get(
    "/artifacts/{artifact_id}",
    response_model=ArtifactRead,
    operation_id="get_artifact",
    responses=documented("not_found"),
)
async def get_artifact(artifact_id: str, caller: Caller, session: Transaction) -> ArtifactRead:
    """One artifact's facts."""
    return ArtifactRead.of(await service.get(session, artifact_id, tenant_id=caller.tenant_id))


@router.get(
    "/artifacts/{artifact_id}/content",
    operation_id="get_artifact_content",
    response_class=Response,
    responses=CONTENT_RESPONSES,
)
@router.head(
    "/artifacts/{artifact_id}/content",
    operation_id="head_artifact_content",
    response_class=Response,
    responses=CONTENT_RESPONSES,
)
async def get_content(artifact_id: str, request: Request, caller: Caller, services: Services) -> Response:
    """The artifact's bytes. Supports Range, If-Range, If-Match and If-None-Match."""
    async with tenant_session(request) as session:  # given back before the store is asked: a download may take long
        row = await service.get(session, artifact_id, tenant_id=caller.tenant_id)
    stored = Stored(row.tenant_id, row.sha256, row.bytes, row.filename, row.media_type)
    return await serve(request, services.store, stored)
