"""Checks a quota in the transaction that would use it up.

Nothing is counted but rows, so no counter can drift from them. The tenant's row is locked first, and what is counted
after that includes whatever the transaction before has committed: two requests cannot both take the last place.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from app.contracts.problem import refuse
from app.contracts.status import LEASED, JobStatus, UploadStatus
from app.quotas.limits import QuotaLimits, limits_of
from app.tables import Artifact, File, Job, JobStep, ModelFile, Tenant, Upload

OPEN_UPLOADS = (UploadStatus.PENDING, UploadStatus.VERIFYING)


@dataclass(frozen=True)
class Usage:
    stored_bytes: int
    """Files, what inspections made of them, artifacts, kept steps, and what open uploads have announced."""
    queued_jobs: int
    running_jobs: int
    open_uploads: int


async def require_room(session: AsyncSession, tenant_id: str, incoming_bytes: int) -> None:
    """Refuse `incoming_bytes` that do not fit beside what the tenant stores already."""
    limit = (await _locked_limits(session, tenant_id)).stored_bytes
    if limit is None:
        return
    stored = await _number(session, _stored_bytes(tenant_id))
    if stored + incoming_bytes > limit:
        raise refuse(
            "quota_exceeded", f"{stored} of {limit} bytes are in use; {incoming_bytes} more do not fit beside them."
        )


async def require_queue_slot(session: AsyncSession, tenant_id: str) -> None:
    """Refuse one more waiting job than the tenant may have."""
    limit = (await _locked_limits(session, tenant_id)).queued_jobs
    if limit is not None and await _number(session, _queued_jobs(tenant_id)) >= limit:
        raise refuse("concurrency_limit", f"{limit} jobs may wait at once.")


async def require_upload_slot(session: AsyncSession, tenant_id: str) -> None:
    """Refuse one more open upload than the tenant may have."""
    limit = (await _locked_limits(session, tenant_id)).open_uploads
    if limit is not None and await _number(session, _open_uploads(tenant_id)) >= limit:
        raise refuse(
            "concurrency_limit", f"{limit} uploads may be open at once.", hint="Complete or abort one of them."
        )


async def lock_tenant(session: AsyncSession, tenant_id: str) -> Tenant | None:
    """Make the tenant's other transactions that count something wait for the end of this one."""
    # not FOR UPDATE: that would wait for, and hold up, every insert of a row that refers to the tenant
    locked = select(Tenant).where(Tenant.id == tenant_id).with_for_update(key_share=True)
    return await session.scalar(locked.execution_options(populate_existing=True))


async def limits(session: AsyncSession, tenant_id: str) -> QuotaLimits:
    """What the tenant is held to."""
    return _of(session, await session.scalar(select(Tenant).where(Tenant.id == tenant_id)))


async def usage(session: AsyncSession, tenant_id: str) -> Usage:
    """What the tenant has of everything that is limited, in one statement."""
    counted = select(
        _stored_bytes(tenant_id), _queued_jobs(tenant_id), _running_jobs(tenant_id), _open_uploads(tenant_id)
    )
    row = (await session.execute(counted)).one()
    return Usage(*map(int, row))


async def _locked_limits(session: AsyncSession, tenant_id: str) -> QuotaLimits:
    return _of(session, await lock_tenant(session, tenant_id))


def _of(session: AsyncSession, tenant: Tenant | None) -> QuotaLimits:
    general = limits_of(session.info)
    return general if tenant is None else general.of_tenant(tenant)


async def _number(session: AsyncSession, counted: ColumnElement[int]) -> int:
    return int((await session.execute(select(counted))).scalar_one())


def _stored_bytes(tenant_id: str) -> ColumnElement[int]:
    announced = select(func.coalesce(func.sum(Upload.bytes), 0)).where(
        Upload.tenant_id == tenant_id, Upload.status.in_(OPEN_UPLOADS)
    )
    kept = [
        select(func.coalesce(func.sum(table.bytes), 0)).where(table.tenant_id == tenant_id)
        for table in (File, ModelFile, Artifact, JobStep)
    ]
    total: ColumnElement[int] = announced.scalar_subquery()
    for part in kept:
        total = total + part.scalar_subquery()
    return total


def _queued_jobs(tenant_id: str) -> ColumnElement[int]:
    waiting = select(func.count()).where(Job.tenant_id == tenant_id, Job.status == JobStatus.QUEUED)
    return waiting.scalar_subquery()


def _running_jobs(tenant_id: str) -> ColumnElement[int]:
    held = select(func.count()).where(Job.tenant_id == tenant_id, Job.status.in_(LEASED))
    return held.scalar_subquery()


def _open_uploads(tenant_id: str) -> ColumnElement[int]:
    open_now = select(func.count()).where(Upload.tenant_id == tenant_id, Upload.status.in_(OPEN_UPLOADS))
    return open_now.scalar_subquery()
