"""Jobs over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.auth.principal import Caller
from app.changes.waiting import Changes, PreferredWait, until
from app.contracts.status import JobStatus
from app.idempotency.dependency import OncePerKey
from app.idempotency.service import PROBLEMS
from app.jobs import service, submission
from app.jobs.schemas import JobCreate, JobRead, JobValidate, ValidationRead
from app.jobs.shown import Shown, shown_jobs, versions
from app.pagination import Listing, Page, listing, one_page
from app.problems import documented
from app.services import Services
from app.settings import Settings
from app.tables import Job
from app.transaction import Transaction, tenant_session

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_REFUSALS = documented(
    "not_found",
    "model_not_ready",
    "dataset_not_ready",
    "model_rejected",
    "dataset_rejected",
    "model_already_quantized",
    "calibration_input_missing",
    "calibration_shape_mismatch",
    "calibration_dtype_mismatch",
    "labels_missing",
    "labels_invalid",
    "preparation_missing",
    "preparation_invalid",
    "tokenizer_missing",
    "target_unavailable",
    "concurrency_limit",
    "malformed_json",
    "body_too_large",
    *PROBLEMS,
)


class JobsPage(Page):
    status: JobStatus | None = None


@router.post("", status_code=202, response_model=JobRead, operation_id="create_job", responses=_REFUSALS)
async def create_job(
    body: JobCreate,
    response: Response,
    caller: Caller,
    session: Transaction,
    services: Services,
    once: OncePerKey,
) -> JobRead | Response:
    """Queue a job. What can be known to fail is refused now."""

    async def work() -> JobRead:
        row = await submission.create(
            session,
            body,
            tenant_id=caller.tenant_id,
            max_attempts=services.settings.max_attempts,
            memory_limit_bytes=_memory_limit(services.settings),
        )
        await session.refresh(row)
        response.headers["Location"] = f"/v1/jobs/{row.id}"
        response.headers["ETag"] = _etag(row.version)
        return JobRead.of(row)

    return await once.run(body, work)


@router.post(
    "/validate",
    response_model=ValidationRead,
    operation_id="validate_job",
    responses=documented("malformed_json", "body_too_large"),
)
async def validate_job(body: JobValidate, caller: Caller, session: Transaction, services: Services) -> ValidationRead:
    """What would become of a job; nothing is stored, and nothing is run. Data sets may be left out."""
    return await submission.validate(
        session, body, tenant_id=caller.tenant_id, memory_limit_bytes=_memory_limit(services.settings)
    )


def _memory_limit(settings: Settings) -> int | None:
    """Of a job's process, as far as this process knows how workers are set."""
    limits = [limit for limit in (settings.job_rss_bytes, settings.job_memory_bytes) if limit is not None]
    return min(limits, default=None)


@router.get("", response_model=Listing[JobRead], operation_id="list_jobs", responses=documented("invalid_cursor"))
async def list_jobs(page: Annotated[JobsPage, Query()], caller: Caller, session: Transaction) -> dict[str, object]:
    """The caller's jobs, newest first."""
    statement = service.users_jobs(caller.tenant_id, status=page.status)
    rows = (await session.scalars(one_page(statement, Job.id, page, prefix="job"))).all()
    return listing([JobRead.of(row) for row in rows], page)


@router.get(
    "/{job_id}",
    response_model=JobRead,
    operation_id="get_job",
    responses={**documented("not_found"), 304: {"description": "The job is as the client knows it."}},
)
async def get_job(
    job_id: str,
    request: Request,
    caller: Caller,
    wait: PreferredWait,
    hub: Changes,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """One job. With `Prefer: wait=30` the answer is held until the job has changed (If-None-Match) or ended."""
    known = versions(if_none_match)

    async def from_database() -> Job:
        async with tenant_session(request) as session:
            return await service.get(session, job_id, tenant_id=caller.tenant_id)

    async def read() -> Shown:
        return await shown_jobs(request).get(job_id, tenant_id=caller.tenant_id, read=from_database)

    def settled(shown: Shown) -> bool:
        return shown.done or (bool(known) and shown.version not in known)

    shown = await until(read, settled, seconds=wait, hub=hub, keys=[job_id])
    response = shown.response(if_none_match)
    if wait:
        response.headers["Preference-Applied"] = f"wait={wait:.0f}"
    return response


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=JobRead,
    operation_id="cancel_job",
    responses={
        **documented("not_found", "invalid_state_transition"),
        200: {"model": JobRead, "description": "The job is cancelled."},
    },
)
async def cancel_job(job_id: str, response: Response, caller: Caller, session: Transaction) -> JobRead:
    """Ask a job to stop. A queued one is cancelled at once, a running one within two heartbeats."""
    row = await service.cancel(session, job_id, tenant_id=caller.tenant_id)
    if row.status == JobStatus.CANCELLED:
        response.status_code = 200
    return JobRead.of(row)


@router.delete(
    "/{job_id}",
    status_code=204,
    operation_id="delete_job",
    responses=documented("not_found", "invalid_state_transition"),
)
async def delete_job(job_id: str, caller: Caller, session: Transaction) -> None:
    """Forget a job that has ended, with its variants, artifacts, events and logs."""
    await service.delete(session, job_id, tenant_id=caller.tenant_id)


def _etag(version: int) -> str:
    return f'"v{version}"'
