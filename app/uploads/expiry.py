"""Uploads whose time is over are given up; their parts are freed."""

import structlog
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.contracts.status import UploadStatus
from app.storage import ObjectStore
from app.tables import Upload
from app.uploads.service import free_parts

log = structlog.get_logger("lowbit.uploads")


async def expire(sessions: async_sessionmaker[AsyncSession], store: ObjectStore) -> int:
    """How many were given up."""
    late = (
        update(Upload)
        .where(Upload.status == UploadStatus.PENDING, Upload.expires_at < func.clock_timestamp())
        .values(status=UploadStatus.EXPIRED)
        .returning(Upload)
        .execution_options(synchronize_session=False)
    )
    async with sessions.begin() as session:
        rows = (await session.scalars(late)).all()
    for row in rows:
        await free_parts(store, row)
        log.info("upload expired", upload_id=row.id, tenant_id=row.tenant_id)
    return len(rows)
