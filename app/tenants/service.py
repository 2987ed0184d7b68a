"""Making, changing and finding tenants. The sessions see every tenant."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import explain
from app.contracts.problem import refuse
from app.ids import new_id
from app.jobs import lease, subjects
from app.jobs.news import news_of
from app.quotas import service as quotas
from app.tables import DEFAULT_TENANT_ID, Job, Tenant
from app.tenants.schemas import TenantChange, TenantCreate, TenantDetail, TenantRead


async def create(session: AsyncSession, wanted: TenantCreate) -> Tenant:
    row = Tenant(id=new_id("tnt"), **wanted.model_dump())
    session.add(row)
    await _flush_unless_name_taken(session, wanted.name)
    await session.refresh(row)
    explain(session, name=wanted.name)
    return row


async def get(session: AsyncSession, tenant_id: str) -> Tenant:
    row = await session.scalar(select(Tenant).where(Tenant.id == tenant_id))
    if row is None:
        raise refuse("not_found", "There is no such tenant.")
    return row


async def detail(session: AsyncSession, tenant_id: str) -> TenantDetail:
    row = await get(session, tenant_id)
    used = await quotas.usage(session, tenant_id)
    limits = await quotas.limits(session, tenant_id)
    return TenantDetail.model_validate(
        {**TenantRead.of(row).model_dump(), "usage": asdict(used), "quotas": asdict(limits)}
    )


async def change(session: AsyncSession, tenant_id: str, wanted: TenantChange) -> Tenant:
    """Change the fields that were sent, and no others."""
    row = await get(session, tenant_id)
    sent = wanted.model_dump(exclude_unset=True)
    disabled = sent.pop("disabled", None)
    if disabled is not None:
        _switch(row, disabled=disabled)
    for name, value in sent.items():
        if value is None and name in ("name", "weight"):
            raise refuse("validation_error", f"`{name}` cannot be null.", pointer=f"/{name}")
        setattr(row, name, value)
    await _flush_unless_name_taken(session, row.name)
    await session.refresh(row)
    explain(session, **wanted.model_dump(exclude_unset=True))
    return row


async def requeue(session: AsyncSession, job_id: str) -> Job:
    """Let a job that was given up run again, whoever's it is."""
    row: Job | None = await session.scalar(lease.requeue(job_id))
    if row is None:
        if await session.scalar(select(Job.id).where(Job.id == job_id)) is None:
            raise refuse("not_found", "There is no such job.")
        raise refuse("invalid_state_transition", "Only a job that was given up can be queued again.")
    subject = subjects.awaited_again(row)
    if subject is not None:
        await session.execute(subject)
    news = news_of(session)
    news.queues.add(row.queue)
    news.changed.add(job_id)
    explain(session, tenant_id=row.tenant_id)
    return row


def _switch(row: Tenant, *, disabled: bool) -> None:
    if row.id == DEFAULT_TENANT_ID:
        raise refuse("resource_in_use", "The service is operated with keys of this tenant.", pointer="/disabled")
    new: Any = func.coalesce(Tenant.disabled_at, func.clock_timestamp()) if disabled else None
    row.disabled_at = new


async def _flush_unless_name_taken(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise refuse("name_taken", f"There is a tenant called '{name}' already.", pointer="/name") from error
