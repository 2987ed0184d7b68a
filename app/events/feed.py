"""What all streams about one thing share: each change is read once and encoded once, however many listen.

A stream keeps nothing but its position. It takes what follows from the feed's buffer; one that has fallen behind the
buffer, or comes back with an old position, reads from the database like a page does. So a slow client costs no memory,
and of progress, which is not an event, it gets the newest when it can take it.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.changes.gradual_signal import GradualSignal
from app.changes.hub import Hub, Watch
from app.events.source import Batch, Frame, P, Progress, Source
from app.events.wire import PING

log = structlog.get_logger("lowbit.feed")

BUFFERED_EVENTS = 256
PING_SECONDS = 15.0
PROGRESS_SECONDS = 0.25
"""The least time between two reports of a job's progress."""
BEHIND_SECONDS = 0.1
OUTAGE_SECONDS = 1.0
OUTAGES = (SQLAlchemyError, OSError)
LONGEST_STREAM_SECONDS = 600.0
"""A client then comes back with its position and shows its key again: a revoked one is good for no longer."""


class Feed(Generic[P]):
    def __init__(self, source: Source[P], hub: Hub, key: str) -> None:
        self.source: Source[P] = source
        self.hub = hub
        self.key = key
        """The id whose changes wake the feed: a job's or a tenant's."""
        self._floor: P | None = None
        self._frames: deque[Frame[P]] = deque()
        self._progress: dict[str, Progress] = {}
        self._over = False
        self._changed = GradualSignal()

    async def run(self) -> None:
        """Read whatever is new until there will be nothing more, or until cancelled."""
        try:
            with self.hub.watch(self.key) as watch:
                await self._run(watch)
        finally:
            self._over = True
            self._changed.tell_at_once()

    async def _run(self, watch: Watch) -> None:
        position: P | None = None
        while not (self._over or self.hub.closed):
            moved = frozenset(watch.moved)
            watch.clear()
            try:
                if position is None:
                    position = self._floor = await self.source.end()
                    # what happened up to here is not in the buffer: streams behind it look themselves
                    await self._changed.tell()
                batch = await self.source.read(position, moved)
            except OUTAGES as error:
                log.warning("events cannot be read", error=type(error).__name__)
                watch.moved |= moved
                await asyncio.sleep(OUTAGE_SECONDS)
                continue
            position = batch.position
            await self._take(batch)
            if not (batch.more or batch.over):
                await _until_due(watch, behind=batch.behind)

    async def follow(self, position: P, versions: dict[str, int]) -> AsyncIterator[bytes]:
        """All events behind a position, to the end, with pings. `versions`: of the jobs that the client has seen."""
        until = time.monotonic() + LONGEST_STREAM_SECONDS
        while time.monotonic() < until:
            told = self._changed.told  # before looking: what comes during the look raises it
            frames = self._since(position)
            over = self._over
            if frames is None:
                try:
                    batch = await self.source.read(position, frozenset())
                except OUTAGES:
                    return  # the client comes back with its position
                frames, position, over = batch.frames, batch.position, batch.over
            chunk = b"".join(f.data for f in frames) + self._newer_progress(versions)
            if frames:
                position = max(position, frames[-1].position)
            if chunk:
                yield chunk
            if over or self.hub.closed:
                return
            if not chunk and not await self._changed.wait(told, seconds=PING_SECONDS):
                yield PING

    def _since(self, position: P) -> list[Frame[P]] | None:
        """The buffered events behind a position; None if the buffer does not go back so far."""
        if self._floor is None or position < self._floor:
            return None
        newer: list[Frame[P]] = []
        for frame in reversed(self._frames):
            if frame.position <= position:
                break
            newer.append(frame)
        return newer[::-1]

    def _newer_progress(self, versions: dict[str, int]) -> bytes:
        newer = b""
        for job_id, progress in self._progress.items():
            if progress.version > versions.get(job_id, 0):
                versions[job_id] = progress.version
                newer += progress.data
        return newer

    async def _take(self, batch: Batch[P]) -> None:
        for frame in batch.frames:
            self._frames.append(frame)
        while len(self._frames) > BUFFERED_EVENTS:
            self._floor = self._frames.popleft().position
        for job_id in batch.settled:
            self._progress.pop(job_id, None)
        self._progress.update(batch.progress)
        self._over = batch.over
        if batch.frames or batch.progress or batch.over:
            await self._changed.tell()


async def _until_due(watch: Watch, *, behind: bool) -> None:
    """Until there is something to read: events at once, progress not more often than it is told."""
    if behind:
        await watch.wait(BEHIND_SECONDS)
        return
    told_at = time.monotonic()
    await watch.wait()
    if not watch.urgent:
        await watch.wait_for_urgent(told_at + PROGRESS_SECONDS - time.monotonic())
