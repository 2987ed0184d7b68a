"""Connections and transactions of the API: one request, one transaction, committed before the answer is sent."""

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.auth.principal import principal_of
from app.jobs.announce import Announcer
from app.tenancy import EVERY_TENANT, seen_by

POOL_SIZE = 10
STATEMENT_TIMEOUT_MS = 15_000
"""No query of the API is near this; one that hangs must not hold its connection for ever."""
POOL_TIMEOUT_SECONDS = 5.0
"""A request that gets no connection for so long is told to come again, rather than kept for the default 30 s."""

UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What SQLAlchemy raises when the database, or a free connection to it, cannot be had."""

_SILENCE_NOTICED: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's: a server that vanished without a word would hold a TCP connection, and its request, for ever."""


def make_engine(url: str) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and parameters are users' data
        connect_args={
            "connect_timeout": 5,
            **_SILENCE_NOTICED,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
        },
    )


def make_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions of the engine, which see every tenant. Endpoints use `tenant_session` instead."""
    return async_sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))


def engine_sessions(request: Request) -> async_sessionmaker[AsyncSession]:
    return cast("async_sessionmaker[AsyncSession]", request.app.state.sessions)


def tenant_session(request: Request) -> AsyncSession:
    """A session that sees the rows of the caller's tenant and no others."""
    return engine_sessions(request)(info=seen_by(principal_of(request).tenant_id))


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """Commit when the endpoint returns; then, and only then, announce the jobs it queued."""
    async with tenant_session(request) as session:
        yield session
        await session.commit()
        announcer: Announcer = request.app.state.announcer
        announcer.announce_soon(session.info.pop("queues", ()))


# scope="function": FastAPI would otherwise run the commit after the answer has left, and a failed one would be a lie
Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
