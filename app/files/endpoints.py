"""Files over HTTP: sent in one request, as a form or as raw octets; fetched whole or in part."""

from typing import Annotated, Any, NamedTuple, get_args

from fastapi import APIRouter, Query, Request, Response

from app.auth.principal import Caller
from app.content import CONTENT_RESPONSES, Stored, serve
from app.contracts.problem import refuse
from app.files import service
from app.files.announced import announced_sha256
from app.files.form import MAX_OVERHEAD_BYTES, FormUpload
from app.files.reception import Reception, receive_raw, too_large, uploads_folder
from app.files.schemas import FileRead
from app.files.sniff import SNIFFED, Purpose, as_purpose
from app.problems import documented
from app.services import Services
from app.transaction import Transaction, tenant_session

router = APIRouter(prefix="/v1/files", tags=["files"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(get_args(Purpose))},
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=FileRead,
    operation_id="create_file",
    openapi_extra=_BODY,
    responses=documented(
        "bad_request",
        "checksum_mismatch",
        "upload_too_large",
        "unsupported_media_type",
        *SNIFFED,
        "insufficient_scratch",
        "quota_exceeded",
        "artifact_store_unavailable",
    ),
)
async def create_file(
    request: Request,
    response: Response,
    caller: Caller,
    session: Transaction,
    services: Services,
    purpose: Annotated[Purpose | None, Query(description="Required with raw octets; a field of the form.")] = None,
    filename: Annotated[str | None, Query(max_length=1024, description="With raw octets.")] = None,
) -> FileRead:
    """Upload one file. `curl -F purpose=model -F file=@model.onnx` is enough."""
    limit = services.settings.max_upload_bytes
    if int(request.headers.get("content-length") or 0) > limit + MAX_OVERHEAD_BYTES:
        raise too_large(limit)
    folder = uploads_folder(services.settings.require_scratch_dir())
    allowed = services.settings.allow_torch_export
    with Reception(folder, max_bytes=limit, allow_torch_export=allowed) as received:
        about = await _receive(request, received, _About(filename, purpose))
        row = await service.keep(
            session,  # connects when it is first used, which is after the bytes are in the store
            services.store,
            _checked(request, received),
            tenant_id=caller.tenant_id,
            filename=about.filename or "upload",
            purpose=as_purpose(about.purpose),
        )
    response.headers["Location"] = f"/v1/files/{row.id}"
    return FileRead.of(row)


class _About(NamedTuple):
    """What the client says of the file: in the query beside raw octets, in the fields of a form."""

    filename: str | None
    purpose: Purpose | None


async def _receive(request: Request, received: Reception, query: _About) -> _About:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = FormUpload(request.headers["content-type"], received)
        await form.read(request.stream())
        return _About(form.filename, form.purpose)
    if kind not in {"application/octet-stream", ""}:
        raise refuse(
            "unsupported_media_type",
            "A file is sent as multipart/form-data or application/octet-stream.",
            hint="curl -F purpose=model -F file=@model.onnx",
        )
    received.expect(as_purpose(query.purpose))
    await receive_raw(request.stream(), received)
    return query


def _checked(request: Request, received: Reception) -> Reception:
    """Compare with the digest that the client announced, if it did."""
    expected = announced_sha256(request.headers)
    if expected is not None and expected != received.finish():
        raise refuse("checksum_mismatch", "The file's sha256 is not the one announced.")
    return received


@router.get("/{file_id}", response_model=FileRead, operation_id="get_file", responses=documented("not_found"))
async def get_file(file_id: str, caller: Caller, session: Transaction) -> FileRead:
    """One file's facts."""
    return FileRead.of(await service.get(session, file_id, tenant_id=caller.tenant_id))


@router.get("/{file_id}/content", operation_id="get_file_content", response_class=Response, responses=CONTENT_RESPONSES)
@router.head(
    "/{file_id}/content", operation_id="head_file_content", response_class=Response, responses=CONTENT_RESPONSES
)
async def get_content(file_id: str, request: Request, caller: Caller, services: Services) -> Response:
    """The file's bytes. Supports Range, If-Range, If-Match and If-None-Match."""
    async with tenant_session(request) as session:  # given back before the store is asked: a download may take long
        row = await service.get(session, file_id, tenant_id=caller.tenant_id)
    return await serve(request, services.store, Stored(row.tenant_id, row.sha256, row.bytes, row.filename))


@router.delete(
    "/{file_id}", status_code=204, operation_id="delete_file", responses=documented("not_found", "resource_in_use")
)
async def delete_file(file_id: str, caller: Caller, session: Transaction) -> None:
    """Forget a file that nothing refers to."""
    await service.delete(session, file_id, tenant_id=caller.tenant_id)
