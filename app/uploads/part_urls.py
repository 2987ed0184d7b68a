"""Where the parts of an upload are sent: straight to the object store where clients can reach it, else to us."""

from datetime import UTC, datetime, timedelta

from app.storage import ObjectStore
from app.tables import Upload
from app.uploads.schemas import PartUrl, layout_of

FIRST_PARTS = 100
"""Addresses that a new upload comes with. More would make the answer long before it is of use."""
VALID_SECONDS = 3600


def part_urls(store: ObjectStore, row: Upload, numbers: list[int]) -> list[PartUrl]:
    """Presigned addresses need no key, so none lives longer than its upload."""
    now = datetime.now(UTC)
    valid = max(1, min(VALID_SECONDS, int((row.expires_at - now).total_seconds())))
    return [_part_url(store, row, number, valid, now + timedelta(seconds=valid)) for number in numbers]


def _part_url(store: ObjectStore, row: Upload, number: int, valid_seconds: int, until: datetime) -> PartUrl:
    presigned = store.uploads.part_url(
        tenant_id=row.tenant_id,
        upload_id=row.id,
        handle=row.staging_handle,
        number=number,
        part_bytes=layout_of(row).bytes_of(number),
        expires_seconds=valid_seconds,
    )
    if presigned is not None:
        return PartUrl(number=number, url=presigned, headers={}, expires_at=until)
    here = f"/v1/uploads/{row.id}/parts/{number}"
    return PartUrl(number=number, url=here, headers={}, expires_at=row.expires_at)
