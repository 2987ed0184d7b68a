"""The operator's addresses, below `/v1/admin`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy import select

from app.audit.listing import page_of
from app.audit.schemas import AuditPage, AuditRead
from app.auth.principal import Caller
from app.contracts.codes import ProblemCode
from app.idempotency.service import PROBLEMS
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.tables import Tenant
from app.tenants import service
from app.tenants.dependency import OperatorOncePerKey, OperatorTransaction
from app.tenants.requeued import RequeuedRead
from app.tenants.schemas import TenantChange, TenantCreate, TenantDetail, TenantRead
from app.tokens import service as tokens
from app.tokens.schemas import TokenCreate, TokenList, TokenMade

router = APIRouter(prefix="/v1/admin", tags=["admin"])

_BODY: tuple[ProblemCode, ...] = ("malformed_json", "body_too_large")


@router.post(
    "/tenants",
    status_code=201,
    response_model=TenantRead,
    operation_id="create_tenant",
    responses=documented("name_taken", *_BODY, *PROBLEMS),
)
async def create_tenant(
    body: TenantCreate, response: Response, session: OperatorTransaction, once: OperatorOncePerKey
) -> TenantRead | Response:
    """Make a tenant. It has no keys yet."""

    async def work() -> TenantRead:
        row = await service.create(session, body)
        response.headers["Location"] = f"/v1/admin/tenants/{row.id}"
        return TenantRead.of(row)

    return await once.run(body, work)


@router.get(
    "/tenants",
    response_model=Listing[TenantRead],
    operation_id="list_tenants",
    responses=documented("invalid_cursor"),
)
async def list_tenants(page: PageQuery, session: OperatorTransaction) -> dict[str, Any]:
    """All tenants, newest first."""
    rows = (await session.scalars(one_page(select(Tenant), Tenant.id, page, prefix="tnt"))).all()
    return listing([TenantRead.of(row) for row in rows], page)


@router.get("/tenants/{tenant_id}", operation_id="get_tenant", responses=documented("not_found"))
async def get_tenant(tenant_id: str, session: OperatorTransaction) -> TenantDetail:
    """One tenant, with what it uses."""
    return await service.detail(session, tenant_id)


@router.patch(
    "/tenants/{tenant_id}",
    operation_id="change_tenant",
    responses=documented("not_found", "name_taken", "resource_in_use", *_BODY),
)
async def change_tenant(tenant_id: str, body: TenantChange, session: OperatorTransaction) -> TenantRead:
    """Change a tenant's name, weight or limits, or switch it off and on. Takes effect within two seconds."""
    return TenantRead.of(await service.change(session, tenant_id, body))


@router.get("/tenants/{tenant_id}/keys", operation_id="list_tenant_keys", responses=documented("not_found"))
async def list_tenant_keys(tenant_id: str, session: OperatorTransaction) -> TokenList:
    """A tenant's keys that may be used."""
    await service.get(session, tenant_id)
    return TokenList.of(list(await tokens.live_keys(session, tenant_id)))


@router.post(
    "/tenants/{tenant_id}/keys",
    status_code=201,
    response_model=TokenMade,
    operation_id="create_tenant_key",
    responses=documented("not_found", "concurrency_limit", *_BODY, *PROBLEMS),
)
async def create_tenant_key(
    tenant_id: str, body: TokenCreate, caller: Caller, session: OperatorTransaction, once: OperatorOncePerKey
) -> TokenMade | Response:
    """Make a key for a tenant. This answer is the only one that shows it."""

    async def work() -> TokenMade:
        await service.get(session, tenant_id)
        return TokenMade.showing(*await tokens.create(session, body, tenant_id=tenant_id, caller=caller))

    return await once.run(body, work, stored=TokenMade.without_key)


@router.delete(
    "/tenants/{tenant_id}/keys/{token_id}",
    status_code=204,
    operation_id="revoke_tenant_key",
    responses=documented("not_found", "resource_in_use"),
)
async def revoke_tenant_key(tenant_id: str, token_id: str, session: OperatorTransaction) -> None:
    """Revoke a tenant's key. It is refused within two seconds."""
    await tokens.revoke(session, token_id, tenant_id=tenant_id)


@router.post(
    "/jobs/{job_id}/requeue",
    status_code=202,
    operation_id="requeue_job",
    responses=documented("not_found", "invalid_state_transition"),
)
async def requeue_job(job_id: str, session: OperatorTransaction) -> RequeuedRead:
    """Let a job that was given up run again, with all its attempts."""
    return RequeuedRead.of(await service.requeue(session, job_id))


class EverybodysAuditPage(AuditPage):
    tenant_id: Annotated[str | None, Field(max_length=64)] = None


@router.get(
    "/audit",
    response_model=Listing[AuditRead],
    operation_id="list_all_audit_entries",
    responses=documented("invalid_cursor"),
)
async def list_all_audit_entries(
    page: Annotated[EverybodysAuditPage, Query()], session: OperatorTransaction
) -> dict[str, Any]:
    """Who changed what, in all tenants or one, newest first."""
    return await page_of(session, page, tenant_id=page.tenant_id)
