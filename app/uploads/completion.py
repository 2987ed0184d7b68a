"""Completing an upload: the parts are compared with the file's layout, and a worker is asked to verify the whole."""

from typing import Any

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.problem import refuse
from app.contracts.status import JobKind, Queue, UploadStatus
from app.ids import new_id
from app.jobs.submission import enqueue
from app.references import hold
from app.storage import Part
from app.tables import File, Job, Upload
from app.uploads import service
from app.uploads.layout import Layout
from app.uploads.schemas import PartName, UploadComplete, layout_of

MAX_NAMED_PARTS = 20
"""Numbers that a refusal lists; the upload itself shows them all."""


async def complete(
    session: AsyncSession, row: Upload, wanted: UploadComplete, held: list[Part], *, max_attempts: int
) -> tuple[Upload, File | None]:
    """Queue the verification. Completing again, in the same way, changes nothing.

    `row` and `held` were read before, so that no connection is held while the store is asked; what has changed since
    shows when the row is written.
    """
    sha256 = _agreed_digest(row, wanted.sha256)
    names = [part.model_dump() for part in wanted.parts]
    if row.status == UploadStatus.PENDING:
        _require_all_parts(layout_of(row), wanted.parts, held)
        await session.execute(hold(row.tenant_id, [sha256]))  # from here on the row refers to the object
        written = await session.execute(
            _still_pending(row).values(status=UploadStatus.VERIFYING, sha256=sha256, parts=names).returning(Upload.id)
        )
        if written.one_or_none() is not None:
            await _queue_verification(session, row, max_attempts=max_attempts)
    now, file = await service.get(session, row.id, tenant_id=row.tenant_id)
    if now.status not in {UploadStatus.VERIFYING, UploadStatus.COMPLETED} or now.sha256 != sha256:
        await service.require_pending(session, now)
        raise refuse("upload_complete", "The upload was completed with another digest.")
    return now, file


def _agreed_digest(row: Upload, given: str | None) -> str:
    sha256 = given or row.sha256
    if sha256 is None:
        raise refuse("validation_error", "The file's sha256 is required to complete its upload.", pointer="/sha256")
    if row.sha256 is not None and row.sha256 != sha256 and row.status == UploadStatus.PENDING:
        raise refuse("checksum_mismatch", "The upload was begun with another sha256.", pointer="/sha256")
    return sha256


def _require_all_parts(layout: Layout, named: list[PartName], held: list[Part]) -> None:
    numbers = [part.number for part in named]
    known = set(numbers)
    if numbers != sorted(known) or numbers[-1] > layout.part_count:
        raise refuse("upload_part_invalid", "Parts are named once each, by rising number.", pointer="/parts")
    by_number = {part.number: part for part in held}
    if missing := [n for n in layout.numbers if n not in by_number or n not in known]:
        raise refuse("upload_parts_missing", f"Parts that are missing: {_listed(missing)}.")
    wrong = [part.number for part in named if part.etag.strip('"') != by_number[part.number].etag]
    wrong += [n for n in layout.numbers if by_number[n].bytes != layout.bytes_of(n)]
    if wrong:
        raise refuse("upload_part_invalid", f"Parts whose etag or size is another: {_listed(sorted(set(wrong)))}.")


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:MAX_NAMED_PARTS]))
    return shown if len(numbers) <= MAX_NAMED_PARTS else f"{shown} and {len(numbers) - MAX_NAMED_PARTS} more"


def _still_pending(row: Upload) -> Any:  # noqa: ANN401  an Update, whose type forgets its methods' results
    return (
        update(Upload)
        .where(Upload.tenant_id == row.tenant_id, Upload.id == row.id)
        .where(Upload.status == UploadStatus.PENDING, Upload.expires_at > func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )


async def _queue_verification(session: AsyncSession, row: Upload, *, max_attempts: int) -> None:
    job = Job(
        id=new_id("job"),
        tenant_id=row.tenant_id,
        kind=JobKind.VERIFY_UPLOAD,
        queue=Queue.INSPECT,
        name=row.filename,
        upload_id=row.id,
        max_attempts=max_attempts,
    )
    await enqueue(session, job)
