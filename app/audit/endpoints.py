"""The audit log over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.audit.listing import page_of
from app.audit.schemas import AuditPage, AuditRead
from app.auth.principal import Caller
from app.pagination import Listing
from app.problems import documented
from app.transaction import Transaction

router = APIRouter(prefix="/v1/audit", tags=["keys"])


@router.get(
    "", response_model=Listing[AuditRead], operation_id="list_audit_entries", responses=documented("invalid_cursor")
)
async def list_audit_entries(
    page: Annotated[AuditPage, Query()], caller: Caller, session: Transaction
) -> dict[str, Any]:
    """Who changed what in the caller's tenant, newest first."""
    return await page_of(session, page, tenant_id=caller.tenant_id)
