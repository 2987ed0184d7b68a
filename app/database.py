"""The connections of the API to its database. No query takes for ever, and none is kept waiting for a connection."""

from typing import cast

from fastapi import Request
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.prompt_connection import CONNECT_SECONDS, SILENCE_NOTICED, prompt_async_connect
from app.quotas.limits import NO_QUOTAS, QuotaLimits, limited_by
from app.settings import QUERY_SECONDS
from app.tenancy import EVERY_TENANT, seen_by

POOL_SIZE = 20
"""Kept open once made: a connection costs a proof of the password, which takes the time of ten requests."""
ANSWER_GRACE_SECONDS = 1.0
"""The server is to give a statement up first: its own error says more than a closed connection."""
POOL_TIMEOUT_SECONDS = 5.0
"""A request that gets no connection for so long is told to come again, rather than kept for the default 30 s."""

UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)
"""What SQLAlchemy raises when the database, or a free connection to it, cannot be had."""


def make_engine(url: str, *, query_seconds: float = QUERY_SECONDS) -> AsyncEngine:
    """An engine whose queries end within `query_seconds`, plus a second, whatever the server does."""
    return create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and parameters are users' data
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            **SILENCE_NOTICED,
            "options": f"-c statement_timeout={int(query_seconds * 1000)} -c timezone=UTC",
            "async_creator_fn": prompt_async_connect(query_seconds + ANSWER_GRACE_SECONDS),
        },
    )


def make_sessions(engine: AsyncEngine, quotas: QuotaLimits = NO_QUOTAS) -> async_sessionmaker[AsyncSession]:
    """Sessions of the engine, which see every tenant. Endpoints use `app.transaction` instead."""
    return async_sessionmaker(engine, expire_on_commit=False, info={**seen_by(EVERY_TENANT), **limited_by(quotas)})


def engine_sessions(request: Request) -> async_sessionmaker[AsyncSession]:
    return cast("async_sessionmaker[AsyncSession]", request.app.state.sessions)
