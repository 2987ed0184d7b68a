"""Beginning, finding and ending uploads. Their parts are the object store's affair."""

from contextlib import suppress
from typing import Any

import anyio.to_thread
from sqlalchemy import Select, and_, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.problem import ProblemFound, refuse
from app.contracts.status import UploadStatus
from app.files.service import find_same, safe_filename
from app.ids import new_id
from app.quotas.service import require_room, require_upload_slot
from app.services import ServiceSet
from app.storage import ObjectStore, Part, StorageError, UploadMissing
from app.tables import File, Upload
from app.uploads.layout import Layout
from app.uploads.schemas import UploadCreate


async def create(session: AsyncSession, services: ServiceSet, wanted: UploadCreate, *, tenant_id: str) -> Upload:
    """Make room for a file, or find that it is here."""
    _require_size(wanted.bytes, services.settings.max_resumable_upload_bytes)
    row = Upload(
        id=new_id("upl"),
        tenant_id=tenant_id,
        filename=safe_filename(wanted.filename),
        purpose=wanted.purpose,
        bytes=wanted.bytes,
        sha256=wanted.sha256,
        part_bytes=Layout.of(wanted.bytes).part_bytes,
        staging_handle="",
        status=UploadStatus.PENDING,
        expires_at=_from_now(services.settings.upload_expiry_seconds),
    )
    same = await find_same(session, services.store, row) if row.sha256 else None
    if same is not None:
        await _refer_to(session, row, same)
    else:
        await _begin(session, services.store, row)
    await session.refresh(row)
    return row


async def get(session: AsyncSession, upload_id: str, *, tenant_id: str) -> tuple[Upload, File | None]:
    found = (await session.execute(with_files(tenant_id).where(Upload.id == upload_id))).one_or_none()
    if found is None:
        raise refuse("not_found", "There is no such upload.")
    row, file = found
    return row, file


def with_files(tenant_id: str) -> Select[Upload, File | None]:
    """Uploads, and the files that they became."""
    joined = select(Upload, File).join(
        File, and_(File.tenant_id == Upload.tenant_id, File.id == Upload.file_id), isouter=True
    )
    return joined.where(Upload.tenant_id == tenant_id)


async def pending(session: AsyncSession, upload_id: str, *, tenant_id: str) -> Upload:
    """An upload that takes parts."""
    row, _ = await get(session, upload_id, tenant_id=tenant_id)
    await require_pending(session, row)
    return row


async def require_pending(session: AsyncSession, row: Upload) -> None:
    """Raise why the upload takes neither parts nor a completion, if it does not."""
    if row.status == UploadStatus.PENDING:
        late = await session.scalar(select(literal(row.expires_at) <= func.clock_timestamp()))
        if not late:
            return
    if row.status in {UploadStatus.PENDING, UploadStatus.EXPIRED}:
        raise refuse("upload_expired", f"The upload was open until {row.expires_at:%Y-%m-%d %H:%M:%S} UTC.")
    raise refuse("upload_complete", f"The upload is {row.status}; it takes no more parts.")


async def parts_of(store: ObjectStore, row: Upload) -> list[Part]:
    """What has arrived."""
    try:
        return await anyio.to_thread.run_sync(
            lambda: store.uploads.list_parts(tenant_id=row.tenant_id, upload_id=row.id, handle=row.staging_handle)
        )
    except UploadMissing as error:  # aborted or assembled since the row was read
        raise refuse("upload_complete", "The upload takes no more parts.") from error
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The parts cannot be listed.") from error


async def abort(session: AsyncSession, upload_id: str, *, tenant_id: str) -> Upload:
    """End an upload; its parts are freed by the caller, when this is committed. Ending it again is no error."""
    row, _ = await get(session, upload_id, tenant_id=tenant_id)
    await session.execute(
        update(Upload)
        .where(Upload.id == row.id, Upload.status == UploadStatus.PENDING)
        .values(status=UploadStatus.ABORTED)
    )
    await session.refresh(row)
    if row.status in {UploadStatus.VERIFYING, UploadStatus.COMPLETED}:
        raise refuse("upload_complete", "The upload is complete; its file can be deleted.")
    return row


async def free_parts(store: ObjectStore, row: Upload) -> None:
    """Free what an ended upload holds. What cannot be freed now is garbage, and collected later."""
    with suppress(StorageError):
        await anyio.to_thread.run_sync(
            lambda: store.uploads.abort(tenant_id=row.tenant_id, upload_id=row.id, handle=row.staging_handle)
        )


def _require_size(wanted_bytes: int, max_bytes: int) -> None:
    if wanted_bytes == 0:
        raise refuse("file_empty", "The file has no bytes.", hint="Check that the path names the right file.")
    if wanted_bytes > max_bytes:
        raise refuse(
            "upload_too_large",
            f"A file may hold {max_bytes} bytes here.",
            hint="LOWBIT_MAX_RESUMABLE_UPLOAD_BYTES sets the limit.",
        )


async def _refer_to(session: AsyncSession, row: Upload, same: File) -> None:
    """The file is here: it gets another name, and the upload is complete before it began."""
    await require_room(session, row.tenant_id, row.bytes)
    file = File(
        id=new_id("file"),
        tenant_id=row.tenant_id,
        filename=row.filename,
        purpose=row.purpose,
        format=same.format,
        bytes=same.bytes,
        sha256=same.sha256,
    )
    session.add(file)
    await session.flush()
    row.status, row.file_id = UploadStatus.COMPLETED, file.id
    session.add(row)
    await session.flush()


async def _begin(session: AsyncSession, store: ObjectStore, row: Upload) -> None:
    tenant_id, upload_id = row.tenant_id, row.id
    try:
        row.staging_handle = await anyio.to_thread.run_sync(
            lambda: store.uploads.begin(tenant_id=tenant_id, upload_id=upload_id)
        )
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The upload could not be begun.") from error
    try:
        await require_upload_slot(session, tenant_id)
        await require_room(session, tenant_id, row.bytes)
    except ProblemFound:
        await free_parts(store, row)
        raise
    session.add(row)
    await session.flush()


def _from_now(seconds: float) -> Any:  # noqa: ANN401  an expression in the place of a value
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
