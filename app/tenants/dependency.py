"""Transactions of an operator, which see every tenant. The gate lets only keys with `tenants:admin` come here."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.principal import Caller
from app.database import engine_sessions
from app.idempotency.service import Once, checked_key
from app.transaction import committed


async def operator_transaction(request: Request, response: Response) -> AsyncIterator[AsyncSession]:
    async with committed(engine_sessions(request)(), request, response) as session:
        yield session


OperatorTransaction = Annotated[AsyncSession, Depends(operator_transaction, scope="function")]


def _once(
    request: Request,
    response: Response,
    caller: Caller,
    session: OperatorTransaction,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Once:
    return Once(request, response, session, caller.tenant_id, checked_key(idempotency_key))


OperatorOncePerKey = Annotated[Once, Depends(_once)]
