"""Keeping, finding and removing files."""

from pathlib import Path, PurePosixPath

import anyio.to_thread
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.problem import MAX_QUOTED, quoted, refuse
from app.files.reception import Reception
from app.files.sniff import Purpose
from app.ids import new_id
from app.quotas.service import require_room
from app.references import hold
from app.storage import ObjectStore
from app.storage.errors import StorageError
from app.tables import File, Upload

MAX_SUFFIX = 16
"""Characters of an extension that survive the shortening of a long name."""


async def keep(
    session: AsyncSession, store: ObjectStore, received: Reception, *, tenant_id: str, filename: str, purpose: Purpose
) -> File:
    """Store what was received and record it. The bytes are in the store before the row that names them is.

    Equal files of a tenant are one object under several rows.
    """
    found = received.format_for(purpose)
    digest = received.finish()
    await _put(store, received.path, tenant_id=tenant_id, sha256=digest)
    row = File(
        id=new_id("file"),
        tenant_id=tenant_id,
        filename=safe_filename(filename),
        purpose=purpose,
        format=found,
        bytes=received.bytes,
        sha256=digest,
    )
    await require_room(session, tenant_id, row.bytes)
    await session.execute(hold(tenant_id, [digest]))
    if not await _is_stored(store, tenant_id=tenant_id, sha256=digest):  # collected since; now it cannot be
        await _put(store, received.path, tenant_id=tenant_id, sha256=digest)
    session.add(row)
    await session.flush()
    return row


async def find_same(session: AsyncSession, store: ObjectStore, wanted: Upload) -> File | None:
    """A file of the tenant that is what the upload would be. Its object stays for this transaction at least.

    One whose object was lost is none: sending it again is what mends it.
    """
    assert wanted.sha256 is not None
    await session.execute(hold(wanted.tenant_id, [wanted.sha256]))
    same = select(File).where(
        File.tenant_id == wanted.tenant_id,
        File.sha256 == wanted.sha256,
        File.bytes == wanted.bytes,
        File.purpose == wanted.purpose,
    )
    found: File | None = await session.scalar(same.limit(1))
    if found is not None and await _is_stored(store, tenant_id=found.tenant_id, sha256=found.sha256):
        return found
    return None


async def get(session: AsyncSession, file_id: str, *, tenant_id: str) -> File:
    row = await session.scalar(select(File).where(File.tenant_id == tenant_id, File.id == file_id))
    if row is None:
        raise refuse("not_found", "There is no such file.")
    return row


async def delete(session: AsyncSession, file_id: str, *, tenant_id: str) -> None:
    row = await get(session, file_id, tenant_id=tenant_id)
    await session.delete(row)
    await refuse_if_in_use(session, "A model or a data set was made from this file.")


async def refuse_if_in_use(session: AsyncSession, detail: str) -> None:
    """Send the deletion to the database; a foreign key that objects means that something refers to the row."""
    try:
        await session.flush()
    except IntegrityError as error:
        raise refuse("resource_in_use", detail, hint="Delete what refers to it first.") from error


def safe_filename(name: str) -> str:
    """The last component of what the client called the file, printable and short, with its extension.

    It is shown, and never used as a path.
    """
    base = name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    suffix = PurePosixPath(base).suffix
    if len(base) > MAX_QUOTED and len(suffix) <= MAX_SUFFIX:
        base = base[: MAX_QUOTED - 1 - len(suffix)] + "…" + suffix
    return quoted(base) or "upload"


async def _is_stored(store: ObjectStore, *, tenant_id: str, sha256: str) -> bool:
    try:
        size = await anyio.to_thread.run_sync(lambda: store.size(tenant_id=tenant_id, sha256=sha256))
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The file could not be stored.") from error
    return size is not None


async def _put(store: ObjectStore, path: Path, *, tenant_id: str, sha256: str) -> None:
    try:
        await anyio.to_thread.run_sync(lambda: store.put_file(path, tenant_id=tenant_id, sha256=sha256))
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The file could not be stored.") from error
