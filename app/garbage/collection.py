"""Finds garbage, and removes it, in all tenants. Nothing is kept in memory but a batch.

Rows go first, as what they referred to is then garbage too. `docs/decisions/0010` says why no object that somebody
counts on can be removed.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import anyio.to_thread
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.garbage.found import Garbage
from app.garbage.rows import BATCH, OPEN_UPLOADS, OldRows, old_rows
from app.references import referenced, try_to_own
from app.settings import Settings
from app.storage import ObjectStore, StagedUpload, StoredObject
from app.tables import Upload

ABANDONED_SECONDS = 24 * 3600.0
"""A file that is being written shows a sign of life far more often than this, whatever the grace for objects."""

T = TypeVar("T")


@dataclass(frozen=True)
class Collector:
    sessions: async_sessionmaker[AsyncSession]
    """They see every tenant."""
    store: ObjectStore
    grace_seconds: float
    step_retention_seconds: float

    @classmethod
    def of(cls, sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings) -> "Collector":
        return cls(sessions, store, settings.garbage_grace_seconds, settings.step_retention_seconds)

    async def find(self) -> AsyncIterator[Garbage]:
        """What `collect` would remove now, but for objects that only old rows refer to."""
        for rows in self._old_rows():
            async for piece in self._find_rows(rows):
                yield piece
        async for staged in self._dead_staging():
            yield _of_staged(staged)
        async for stored in self._unreferenced():
            yield _of_object(stored)

    async def collect(self) -> AsyncIterator[Garbage]:
        """Remove it, and say what was removed."""
        for rows in self._old_rows():
            async for piece in self._remove_rows(rows):
                yield piece
        async for staged in self._dead_staging():
            await self._abort(staged)
            yield _of_staged(staged)
        async for stored in self._unreferenced():
            if await self._remove(stored):
                yield _of_object(stored)
        await anyio.to_thread.run_sync(self.store.discard_abandoned, ABANDONED_SECONDS)

    def _old_rows(self) -> tuple[OldRows, ...]:
        return old_rows(step_retention_seconds=self.step_retention_seconds)

    async def _find_rows(self, rows: OldRows) -> AsyncIterator[Garbage]:
        async with self.sessions() as session:
            async for row in await session.stream(rows.some()):
                yield _of_row(rows, row)

    async def _remove_rows(self, rows: OldRows) -> AsyncIterator[Garbage]:
        while True:
            async with self.sessions.begin() as session:
                removed = (await session.execute(rows.remove_some())).all()
            for row in removed:
                yield _of_row(rows, row)
            if len(removed) < BATCH:
                return

    async def _dead_staging(self) -> AsyncIterator[StagedUpload]:
        """Parts of uploads that have ended, or that never became a row."""
        async for batch in _batches(self.store.uploads.staged_uploads()):
            async with self.sessions() as session:
                known = select(Upload.id, Upload.status).where(Upload.id.in_([s.upload_id for s in batch]))
                statuses = {row.id: row.status for row in await session.execute(known)}
            for staged in batch:
                status = statuses.get(staged.upload_id)
                if status not in OPEN_UPLOADS if status else staged.idle_seconds > self.grace_seconds:
                    yield staged

    async def _abort(self, staged: StagedUpload) -> None:
        await anyio.to_thread.run_sync(
            lambda: self.store.uploads.abort(
                tenant_id=staged.tenant_id, upload_id=staged.upload_id, handle=staged.handle
            )
        )

    async def _unreferenced(self) -> AsyncIterator[StoredObject]:
        """Old objects that nothing referred to a moment ago."""
        async for batch in _batches(self.store.objects()):
            old = [stored for stored in batch if stored.age_seconds > self.grace_seconds]
            if not old:
                continue
            async with self.sessions() as session:
                rows = await session.execute(referenced((s.tenant_id, s.sha256) for s in old))
                alive = {(row.tenant_id, row.sha256) for row in rows}
            for stored in old:
                if (stored.tenant_id, stored.sha256) not in alive:
                    yield stored

    async def _remove(self, stored: StoredObject) -> bool:
        """Remove an object under its lock: a reference that is being recorded, or was since, keeps it."""
        async with self.sessions.begin() as session:
            if not await session.scalar(try_to_own(stored.tenant_id, stored.sha256)):
                return False
            if (await session.execute(referenced([(stored.tenant_id, stored.sha256)]))).first() is not None:
                return False
            return await anyio.to_thread.run_sync(
                lambda: self.store.delete_older(self.grace_seconds, tenant_id=stored.tenant_id, sha256=stored.sha256)
            )


async def _batches(items: Iterator[T]) -> AsyncIterator[list[T]]:
    """The store answers in a thread, some at a time."""
    while batch := await anyio.to_thread.run_sync(lambda: list(islice(items, BATCH))):
        yield batch


def _of_row(rows: OldRows, row: Any) -> Garbage:  # noqa: ANN401  a row of columns that are chosen at run time
    return Garbage(rows.kind, row.tenant_id, row.name, row.bytes, float(row.age))


def _of_staged(staged: StagedUpload) -> Garbage:
    return Garbage("staging", staged.tenant_id, staged.upload_id, 0, staged.idle_seconds)


def _of_object(stored: StoredObject) -> Garbage:
    return Garbage("object", stored.tenant_id, stored.sha256, stored.bytes, stored.age_seconds)
