"""What the database shows at this moment. Every API process reads the same figures from it."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.status import LEASED, JobStatus, UploadStatus
from app.tables import Artifact, File, Job, JobStep, Upload, WebhookDelivery
from app.targets.roster import live_by_queue

CENSUS_SECONDS = 60.0
"""Counting whole tables takes time that grows with them: figures of that kind are as old as this, at most."""


class Waiting(NamedTuple):
    queue: str
    kind: str
    jobs: int
    oldest_seconds: float


class Held(NamedTuple):
    queue: str
    kind: str
    jobs: int


class LiveWorkers(NamedTuple):
    queue: str
    workers: int
    slots: int


class OpenUploads(NamedTuple):
    uploads: int
    bytes: int


class Census(NamedTuple):
    """What needs a look at every row."""

    jobs: Sequence[tuple[str, str, int]]
    """Kind, status and number."""
    stored_bytes: dict[str, int]


class DatabaseState(NamedTuple):
    waiting: Sequence[Waiting]
    held: Sequence[Held]
    workers: Sequence[LiveWorkers]
    open_uploads: OpenUploads
    deliveries_waiting: int
    census: Census


class DatabaseReader:
    """Reads the state; keeps the census for a while."""

    def __init__(self) -> None:
        self._census: Census | None = None
        self._census_until = 0.0

    async def read(self, session: AsyncSession) -> DatabaseState:
        return DatabaseState(
            waiting=[Waiting(*row) for row in await session.execute(_waiting())],
            held=[Held(*row) for row in await session.execute(_held())],
            workers=[LiveWorkers(*row) for row in await session.execute(live_by_queue())],
            open_uploads=OpenUploads(*(await session.execute(_open_uploads())).one()),
            deliveries_waiting=await session.scalar(_deliveries_waiting()) or 0,
            census=await self._recent_census(session),
        )

    async def _recent_census(self, session: AsyncSession) -> Census:
        if self._census is None or time.monotonic() >= self._census_until:
            self._census = await _take_census(session)
            self._census_until = time.monotonic() + CENSUS_SECONDS
        return self._census


async def _take_census(session: AsyncSession) -> Census:
    jobs = select(Job.kind, Job.status, func.count()).group_by(Job.kind, Job.status)
    stored = {
        "file": func.sum(File.bytes),
        "artifact": func.sum(Artifact.bytes),
        "step": func.sum(JobStep.bytes),
    }
    return Census(
        jobs=[(kind, status, count) for kind, status, count in await session.execute(jobs)],
        stored_bytes={what: int(await session.scalar(select(total)) or 0) for what, total in stored.items()},
    )


def _waiting() -> Select[str, str, int, float]:
    """A job that was given back or has crashed waits from the time at which it may run again."""
    waited = func.greatest(0.0, func.extract("epoch", func.clock_timestamp() - func.min(Job.run_after)))
    return (
        select(Job.queue, Job.kind, func.count(), waited)
        .where(Job.status == JobStatus.QUEUED)
        .group_by(Job.queue, Job.kind)
    )


def _held() -> Select[str, str, int]:
    return select(Job.queue, Job.kind, func.count()).where(Job.status.in_(LEASED)).group_by(Job.queue, Job.kind)


def _open_uploads() -> Select[int, int]:
    still_open = Upload.status.in_([UploadStatus.PENDING, UploadStatus.VERIFYING])
    return select(func.count(), func.coalesce(func.sum(Upload.bytes), 0)).where(still_open)


def _deliveries_waiting() -> Select[int]:
    return select(func.count()).select_from(WebhookDelivery).where(WebhookDelivery.status == "waiting")
