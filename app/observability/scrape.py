"""What one application keeps from one scrape of its metrics to the next."""

import asyncio

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.observability.database_state import DatabaseReader, DatabaseState
from app.observability.exposition import MetricsPage
from app.observability.finished_jobs import FinishedJobs
from app.observability.instruments import Instruments

log = structlog.get_logger("lowbit.metrics")

READ_TIMEOUT_SECONDS = 5.0
"""Prometheus gives up after ten by default."""


class Scrapes:
    def __init__(self) -> None:
        self.instruments = Instruments()
        self._finished_jobs = FinishedJobs(self.instruments.registry)
        self._database = DatabaseReader()

    async def page(self, sessions: async_sessionmaker[AsyncSession]) -> MetricsPage:
        state = await self._read(sessions)
        return MetricsPage(self.instruments.registry, sessions.kw["bind"], state)

    async def _read(self, sessions: async_sessionmaker[AsyncSession]) -> DatabaseState | None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS), sessions() as session:
                await self._finished_jobs.catch_up(session)
                return await self._database.read(session)
        except (DBAPIError, PoolTimeout, TimeoutError) as error:
            log.warning("the database could not be read for metrics", error=type(error).__name__)
            return None
