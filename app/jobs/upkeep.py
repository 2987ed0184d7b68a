"""The API's background loop: takes jobs from silent workers and announces again what still waits.

Every API process runs it; the statements tolerate that, so no leader is needed.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.jobs import lease, subjects
from app.jobs.announce import Announcer
from app.jobs.grace import Grace
from app.settings import Settings

log = structlog.get_logger("lowbit.upkeep")

Sessions = async_sessionmaker[AsyncSession]


async def keep_up(sessions: Sessions, announcer: Announcer, settings: Settings) -> None:
    """Run until cancelled. An outage of the database or the broker is logged and waited out."""
    await announcer.prepare()
    next_reap = time.monotonic()
    grace = Grace(settings.lease_seconds)
    while True:
        try:
            queues = await waiting_queues(sessions)
            grace.note_answer()
            if time.monotonic() >= next_reap and grace.is_over():
                next_reap = time.monotonic() + settings.reap_seconds
                await reap(sessions)
            await dispatch(queues, announcer)
        except Exception as error:  # the loop must outlive whatever one round met; the log says what it was
            grace.note_failure()
            if _is_outage(error):
                log.warning("upkeep postponed", error=type(error).__name__)
            else:
                log.exception("upkeep failed")
        await asyncio.sleep(settings.dispatch_seconds)


def _is_outage(error: Exception) -> bool:
    """True for what a database or a broker that is away makes us meet."""
    from redis.exceptions import RedisError  # noqa: PLC0415  the API's start need not spend its import

    return isinstance(error, DBAPIError | PoolTimeout | OSError | RedisError)


async def reap(sessions: Sessions) -> int:
    """Return the number of jobs that were taken from silent workers."""
    async with sessions.begin() as session:
        lost = (await session.scalars(lease.reap())).all()
        for job in lost:
            log.warning("lease lost", job_id=job.id, kind=job.kind, now=job.status, attempt=job.attempt)
            rejection = subjects.rejection_after(job)
            if rejection is not None:
                await session.execute(rejection)
    return len(lost)


async def waiting_queues(sessions: Sessions) -> Sequence[str]:
    async with sessions() as session:
        return (await session.scalars(lease.waiting_queues())).all()


async def dispatch(queues: Sequence[str], announcer: Announcer) -> None:
    """Announce every queue in which something waits and whose last announcement has been read."""
    for queue in queues:
        if await announcer.is_idle(queue):
            await announcer.announce(queue)
