"""Which tenant's rows a database session can see.

Row-level security hides every row from a session that has named no tenant. A session names one when it is made, and
each of its transactions begins by telling the database (`SET LOCAL`, so a pooled connection forgets it at its end).
A query that lacks its `WHERE tenant_id = ...` thus returns nothing foreign, whoever wrote it.
"""

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session, SessionTransaction

EVERY_TENANT = "*"
"""Named by the engine alone: the gate that looks a key up, the claim, the reaper, the dispatcher, upkeep, admin."""

_TENANT = "tenant_id"
_NAME_TENANT = text("SELECT set_config('app.tenant_id', :tenant, true)")


def seen_by(tenant_id: str) -> dict[str, str]:
    """The `info` of a session that sees one tenant's rows, or with `EVERY_TENANT` all."""
    return {_TENANT: tenant_id}


@event.listens_for(Session, "after_begin")
def _name_tenant(session: Session, _: SessionTransaction, connection: Connection) -> None:
    tenant_id = session.info.get(_TENANT)
    if tenant_id is not None:
        connection.execute(_NAME_TENANT, {"tenant": tenant_id})
