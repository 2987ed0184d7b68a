"""One request, one transaction, committed before the answer is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import record
from app.auth.principal import principal_of
from app.database import engine_sessions
from app.jobs.announce import Announcer
from app.tenancy import seen_by


def tenant_session(request: Request) -> AsyncSession:
    """A session that sees the rows of the caller's tenant and no others."""
    return engine_sessions(request)(info=seen_by(principal_of(request).tenant_id))


@asynccontextmanager
async def committed(session: AsyncSession, request: Request, response: Response) -> AsyncIterator[AsyncSession]:
    """Commit at the end, with the audit log's entry; then, and only then, tell of jobs that were queued or moved."""
    async with session:
        yield session
        record(session, request, response)
        await session.commit()
        announcer: Announcer = request.app.state.announcer
        announcer.announce_soon(session.info.pop("queues", ()))
        for job_id in session.info.pop("moved", ()):
            request.app.state.shown_jobs.forget(job_id)


async def transaction(request: Request, response: Response) -> AsyncIterator[AsyncSession]:
    """One that sees the caller's tenant and ends with the endpoint."""
    async with committed(tenant_session(request), request, response) as session:
        yield session


# scope="function": FastAPI would otherwise run the commit after the answer has left, and a failed one would be a lie
Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
