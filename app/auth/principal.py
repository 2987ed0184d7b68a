"""Who a request comes from. The tenant follows from the key and from nothing else."""

from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Request

from app.auth.scopes import holds
from app.tables import DEFAULT_TENANT_ID


class Principal(NamedTuple):
    key_id: str
    tenant_id: str
    scopes: frozenset[str] = frozenset()
    requests_per_minute: int | None = None
    """The tenant's own limit; None: the one for all."""

    def may(self, scope: str) -> bool:
        return holds(self.scopes, scope, operator=self.tenant_id == DEFAULT_TENANT_ID)


def principal_of(request: Request) -> Principal:
    return cast("Principal", request.state.principal)


async def _caller(request: Request) -> Principal:  # asynchronous, or FastAPI would ask a thread for it
    return principal_of(request)


Caller = Annotated[Principal, Depends(_caller)]
