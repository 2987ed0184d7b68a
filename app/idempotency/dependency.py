"""The Idempotency-Key of a request, as a parameter of endpoints that create something."""

from typing import Annotated

from fastapi import Depends, Header, Request, Response

from app.auth.principal import Caller
from app.idempotency.service import Once, checked_key
from app.transaction import Transaction


def _once(
    request: Request,
    response: Response,
    caller: Caller,
    session: Transaction,
    idempotency_key: Annotated[
        str | None, Header(description="A value of the client's choice. A repetition with it creates nothing new.")
    ] = None,
) -> Once:
    return Once(request, response, session, caller.tenant_id, checked_key(idempotency_key))


OncePerKey = Annotated[Once, Depends(_once)]
