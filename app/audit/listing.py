"""Pages of the audit log."""

import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service
from app.audit.schemas import PREFIX, AuditPage, AuditRead
from app.contracts.problem import refuse


async def page_of(session: AsyncSession, page: AuditPage, *, tenant_id: str | None) -> dict[str, Any]:
    """One page of a tenant's entries; of everybody's without a tenant, for a session that may see them."""
    statement = service.entries(tenant_id, before=_number(page.after), limit=page.limit + 1)
    rows = [AuditRead.of(row) for row in await session.scalars(statement)]
    shown = rows[: page.limit]
    return {
        "data": shown,
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": len(rows) > page.limit,
    }


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    found = re.fullmatch(PREFIX + r"([0-9]{1,18})", cursor)
    if found is None:
        raise refuse("invalid_cursor", "`after` is not an id of this list.", pointer="/query/after")
    return int(found.group(1))
