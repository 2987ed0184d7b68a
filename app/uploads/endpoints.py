"""Resumable uploads over HTTP: create, send parts in any order and in parallel, complete, wait for the verdict."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Request, Response

from app.auth.principal import Caller
from app.changes.waiting import Changes, PreferredWait, until
from app.contracts.problem import ProblemFound, refuse
from app.contracts.status import UploadStatus
from app.files.announced import announced_sha256
from app.files.sniff import SNIFFED, as_purpose, require_format
from app.idempotency.dependency import OncePerKey
from app.idempotency.service import PROBLEMS
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.services import Services, ServiceSet
from app.storage import Part
from app.storage.staging import MAX_PARTS
from app.tables import File, Upload
from app.transaction import Transaction, committed, tenant_session
from app.uploads import completion, service
from app.uploads.part_urls import FIRST_PARTS, part_urls
from app.uploads.receiving import drain, receive
from app.uploads.schemas import (
    PartNumbers,
    PartRead,
    PartUrls,
    UploadComplete,
    UploadCreate,
    UploadCreated,
    UploadProgress,
    UploadRead,
    layout_of,
)

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

_OCTETS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "",
    status_code=201,
    response_model=UploadCreated,
    operation_id="create_upload",
    responses={
        **documented(
            "file_empty",
            "upload_too_large",
            "concurrency_limit",
            "quota_exceeded",
            "artifact_store_unavailable",
            "malformed_json",
            "body_too_large",
            *PROBLEMS,
        ),
        200: {"model": UploadCreated, "description": "A file with this sha256 is here: the upload is complete."},
    },
)
async def create_upload(
    body: UploadCreate,
    response: Response,
    caller: Caller,
    session: Transaction,
    services: Services,
    once: OncePerKey,
) -> UploadCreated | Response:
    """Begin to upload a file in parts."""

    async def work() -> UploadCreated:
        row = await service.create(session, services, body, tenant_id=caller.tenant_id)
        response.headers["Location"] = f"/v1/uploads/{row.id}"
        if row.status == UploadStatus.COMPLETED:
            response.status_code = 200
            return UploadCreated.of(row, await session.get(File, row.file_id), deduplicated=True, parts=[])
        numbers = list(layout_of(row).numbers[:FIRST_PARTS])
        return UploadCreated.of(row, parts=await _part_urls(services, row, numbers))

    return await once.run(body, work, stored=UploadCreated.without_part_urls)


@router.get("", response_model=Listing[UploadRead], operation_id="list_uploads", responses=documented("invalid_cursor"))
async def list_uploads(page: PageQuery, caller: Caller, session: Transaction) -> dict[str, Any]:
    """The caller's uploads, newest first."""
    statement = one_page(service.with_files(caller.tenant_id), Upload.id, page, prefix="upl")
    rows = (await session.execute(statement)).all()
    return listing([UploadRead.of(row, file) for row, file in rows], page)


@router.get(
    "/{upload_id}",
    response_model=UploadProgress,
    operation_id="get_upload",
    responses=documented("not_found", "artifact_store_unavailable"),
)
async def get_upload(
    upload_id: str, request: Request, caller: Caller, services: Services, wait: PreferredWait, hub: Changes
) -> UploadProgress:
    """One upload and which of its parts have arrived. With `Prefer: wait=30`, held until it is verified."""

    async def read() -> tuple[Upload, File | None]:
        async with tenant_session(request) as session:
            return await service.get(session, upload_id, tenant_id=caller.tenant_id)

    def settled(found: tuple[Upload, File | None]) -> bool:
        return found[0].status != UploadStatus.VERIFYING

    row, file = await until(read, settled, seconds=wait, hub=hub, keys=[upload_id])
    if row.status != UploadStatus.PENDING:
        return UploadProgress.of(row, file, received=[], missing=[])
    received = await service.parts_of(services.store, row)
    missing = sorted(set(layout_of(row).numbers) - {part.number for part in received})
    return UploadProgress.of(row, received=[PartRead.of(part) for part in received], missing=missing)


@router.post(
    "/{upload_id}/part-urls",
    response_model=PartUrls,
    operation_id="create_part_urls",
    responses=documented(
        "not_found", "upload_part_invalid", "upload_complete", "upload_expired", "malformed_json", "body_too_large"
    ),
)
async def create_part_urls(
    upload_id: str, body: PartNumbers, caller: Caller, session: Transaction, services: Services
) -> PartUrls:
    """Fresh addresses for parts: those of the first answer are valid for an hour."""
    row = await service.pending(session, upload_id, tenant_id=caller.tenant_id)
    if outside := [number for number in body.numbers if number not in layout_of(row).numbers]:
        raise _no_such_part(row, outside[0])
    return PartUrls(parts=await _part_urls(services, row, body.numbers))


@router.put(
    "/{upload_id}/parts/{number}",
    response_model=PartRead,
    operation_id="put_upload_part",
    openapi_extra=_OCTETS,
    responses=documented(
        "not_found",
        "bad_request",
        "length_required",
        "checksum_mismatch",
        "upload_part_invalid",
        "upload_complete",
        "upload_expired",
        "upload_stalled",
        *SNIFFED,
        "artifact_store_unavailable",
    ),
)
async def put_part(
    upload_id: str,
    number: Annotated[int, Path(ge=1, le=MAX_PARTS)],
    request: Request,
    response: Response,
    caller: Caller,
    services: Services,
) -> PartRead:
    """The bytes of one part, exactly as many as it has. Sent again, they replace those that were there."""
    chunks = request.stream()
    try:
        async with tenant_session(request) as session:  # given back before the first byte: a part may take long
            row = await service.pending(session, upload_id, tenant_id=caller.tenant_id)
        part = await _receive(request, services, row, number, chunks)
    except ProblemFound as error:
        if error.problem.code != "upload_stalled":
            await drain(chunks, idle_seconds=services.settings.upload_idle_seconds)
        raise
    response.headers["ETag"] = f'"{part.etag}"'
    return PartRead.of(part)


async def _receive(
    request: Request, services: ServiceSet, row: Upload, number: int, chunks: AsyncIterator[bytes]
) -> Part:
    arriving = services.store.uploads.receive_part(
        tenant_id=row.tenant_id,
        upload_id=row.id,
        handle=row.staging_handle,
        number=number,
        part_bytes=_require_length(request, row, number),
        sha256=announced_sha256(request.headers),
    )
    return await receive(
        chunks,
        arriving,
        idle_seconds=services.settings.upload_idle_seconds,
        look_at_head=_judge(row, services) if number == 1 else None,
    )


def _judge(row: Upload, services: ServiceSet) -> Callable[[bytes], object]:
    purpose, allowed = as_purpose(row.purpose), services.settings.allow_torch_export
    return lambda head: require_format(head, purpose, allow_torch_export=allowed)


@router.post(
    "/{upload_id}/complete",
    status_code=202,
    response_model=UploadRead,
    operation_id="complete_upload",
    responses={
        **documented(
            "not_found",
            "upload_parts_missing",
            "upload_part_invalid",
            "upload_complete",
            "upload_expired",
            "checksum_mismatch",
            "artifact_store_unavailable",
            "malformed_json",
            "body_too_large",
        ),
        200: {"model": UploadRead, "description": "The upload was completed before, and is verified."},
    },
)
async def complete_upload(
    upload_id: str,
    body: UploadComplete,
    request: Request,
    response: Response,
    caller: Caller,
    session: Transaction,
    services: Services,
) -> UploadRead:
    """All parts are here: have the whole verified. The file appears when that is done."""
    async with tenant_session(request) as earlier:
        row, _ = await service.get(earlier, upload_id, tenant_id=caller.tenant_id)
    held = await service.parts_of(services.store, row) if row.status == UploadStatus.PENDING else []
    attempts = services.settings.max_attempts
    row, file = await completion.complete(session, row, body, held, max_attempts=attempts)
    if row.status == UploadStatus.COMPLETED:
        response.status_code = 200
    return UploadRead.of(row, file)


@router.delete(
    "/{upload_id}",
    status_code=204,
    operation_id="abort_upload",
    responses=documented("not_found", "upload_complete"),
)
async def abort_upload(
    upload_id: str, request: Request, response: Response, caller: Caller, services: Services
) -> None:
    """Give an upload up; its parts are freed."""
    async with committed(tenant_session(request), request, response) as session:
        row = await service.abort(session, upload_id, tenant_id=caller.tenant_id)
    await service.free_parts(services.store, row)


async def _part_urls(services: ServiceSet, row: Upload, numbers: list[int]) -> Any:  # noqa: ANN401  list[PartUrl]
    return await anyio.to_thread.run_sync(lambda: part_urls(services.store, row, numbers))


def _require_length(request: Request, row: Upload, number: int) -> int:
    layout = layout_of(row)
    if number not in layout.numbers:
        raise _no_such_part(row, number)
    given = request.headers.get("content-length")
    if given is None:
        raise refuse("length_required", "A part says how long it is.")
    if int(given) != layout.bytes_of(number):
        raise refuse("upload_part_invalid", f"Part {number} has {layout.bytes_of(number)} bytes, not {int(given)}.")
    return layout.bytes_of(number)


def _no_such_part(row: Upload, number: int) -> Exception:
    return refuse("upload_part_invalid", f"The upload has parts 1 to {layout_of(row).part_count}, and no {number}.")
