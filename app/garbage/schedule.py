"""The API's second background loop: forgets answers and gives up uploads whose time is over, and collects garbage.

Every API process runs it; the statements and a lock tolerate that, so no leader is needed.
"""

import asyncio
import time
from dataclasses import asdict

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.garbage.collection import Collector
from app.garbage.found import Sums
from app.garbage.single_runner import CollectionUnderWay, single_runner
from app.idempotency.expiry import forget_old
from app.settings import Settings
from app.storage import ObjectStore, StorageError
from app.uploads.expiry import expire

log = structlog.get_logger("lowbit.garbage")

LOOK_SECONDS = 10.0
"""How often answers and uploads are looked at whose time is over."""


async def keep_clean(sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings) -> None:
    """Run until cancelled. An outage of the database or the store is logged and waited out."""
    next_collection = time.monotonic() + settings.garbage_seconds
    while True:
        await asyncio.sleep(min(LOOK_SECONDS, settings.garbage_seconds))
        try:
            await _forget_answers(sessions)
            await expire(sessions, store)
            if time.monotonic() >= next_collection:
                next_collection = time.monotonic() + settings.garbage_seconds
                await collect(sessions, store, settings)
        except (DBAPIError, PoolTimeout, StorageError, OSError) as error:
            log.warning("cleaning postponed", error=type(error).__name__)
        except Exception:  # the loop must outlive whatever one round met; the log says what it was
            log.exception("cleaning failed")


async def _forget_answers(sessions: async_sessionmaker[AsyncSession]) -> None:
    async with sessions.begin() as session:
        await session.execute(forget_old())


async def collect(sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings) -> None:
    try:
        async with single_runner(sessions):
            sums = await Sums.of(Collector.of(sessions, store, settings).collect())
    except CollectionUnderWay:
        return
    log.info("garbage collected", **{kind: asdict(tally) for kind, tally in sums.of_kind.items()})
