"""Only one collection at a time, whichever process runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

KEY = 0x6C6F7762_67617262
"""Of the advisory lock: "lowbgarb"."""


class CollectionUnderWay(Exception):
    """Another process, or another request, is collecting."""


@asynccontextmanager
async def single_runner(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[None]:
    """Hold the lock on a connection of its own, so that it is gone when the process is. Raises `CollectionUnderWay`."""
    engine: AsyncEngine = sessions.kw["bind"]
    without_transactions = engine.execution_options(isolation_level="AUTOCOMMIT")  # one would stay open all the while
    async with without_transactions.connect() as connection:
        if not await connection.scalar(select(func.pg_try_advisory_lock(KEY))):
            raise CollectionUnderWay
        try:
            yield
        finally:
            await connection.execute(select(func.pg_advisory_unlock(KEY)))
