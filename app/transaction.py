"""One request, one transaction, committed before the answer is sent.

Who adds to it, and who is told of it, this module does not know: `app.main` says so.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.principal import principal_of
from app.database import engine_sessions
from app.tenancy import seen_by


class AroundCommit(NamedTuple):
    """Who has a part in every request's transaction."""

    before: tuple[Callable[[AsyncSession, Request, Response], None], ...]
    """Add what stands or falls with the change."""
    after: tuple[Callable[[AsyncSession], None], ...]
    """Tell of the change, which is there to stay."""


def tenant_session(request: Request) -> AsyncSession:
    """A session that sees the rows of the caller's tenant and no others."""
    return engine_sessions(request)(info=seen_by(principal_of(request).tenant_id))


@asynccontextmanager
async def committed(session: AsyncSession, request: Request, response: Response) -> AsyncIterator[AsyncSession]:
    """Commit at the end, with what others add; then, and only then, let the change be told."""
    around: AroundCommit = request.app.state.around_commit
    async with session:
        yield session
        for add in around.before:
            add(session, request, response)
        await session.commit()
        for tell in around.after:
            tell(session)


async def transaction(request: Request, response: Response) -> AsyncIterator[AsyncSession]:
    """One that sees the caller's tenant and ends with the endpoint."""
    async with committed(tenant_session(request), request, response) as session:
        yield session


# scope="function": FastAPI would otherwise run the commit after the answer has left, and a failed one would be a lie
Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
