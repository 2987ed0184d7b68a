"""All open streams of this process, and the responses that carry them."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.types import Message, Receive, Scope, Send

from app.auth.principal import Principal
from app.changes.hub import Hub
from app.contracts.problem import refuse
from app.events import queries
from app.events.cursor import Cursor
from app.events.feed import Feed
from app.events.job_source import JobSource
from app.events.source import P, Source
from app.events.telling import ends, final, job_data
from app.events.tenant_source import TenantSource
from app.events.wire import RETRY, frame
from app.tenancy import seen_by

log = structlog.get_logger("lowbit.streams")

SLOW_SECONDS = 30.0
"""A client that takes nothing for so long is let go; it can come back with its position."""
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""The second keeps nginx from collecting events before it passes them on."""


@dataclass
class _Shared:
    feed: Feed[Any]
    task: asyncio.Task[None]
    streams: int = 0


class Streams:
    def __init__(self, sessions: async_sessionmaker[AsyncSession], hub: Hub, *, max_per_key: int) -> None:
        self.sessions = sessions
        self.hub = hub
        self.max_per_key = max_per_key
        self.open: Counter[str] = Counter()
        """By key."""
        self._feeds: dict[tuple[str, str], _Shared] = {}

    async def of_job(self, caller: Principal, job_id: str, *, after: int | None) -> Response:
        """What happens to a job. With `after`, what has happened since; 204 if that is nothing and never will be."""
        source = JobSource(self.sessions, caller.tenant_id, job_id)
        job = await source.job()
        if job is None:
            raise refuse("not_found", "There is no such job.")
        last = str(job.last_event)
        if after is not None and after <= job.last_event:
            if ends(job, after):
                return Response(status_code=204)
            return self._response(caller, source, job_id, after, {}, RETRY)
        opening = RETRY + frame("snapshot", job_data(job), event_id=last)
        if ends(job, job.last_event):
            return self._response(caller, None, job_id, job.last_event, {}, opening + final(job, last))
        return self._response(caller, source, job_id, job.last_event, {job.id: job.version}, opening)

    async def of_tenant(self, caller: Principal, *, after: Cursor | None) -> Response:
        """What happens to all of the caller's jobs."""
        source = TenantSource(self.sessions, caller.tenant_id)
        if after is not None:
            return self._response(caller, source, caller.tenant_id, after, {}, RETRY)
        now = await source.end()
        async with self.sessions(info=seen_by(caller.tenant_id)) as session:
            unfinished = await queries.unfinished_jobs(session, caller.tenant_id)
        snapshot = {"object": "list", "data": [job_data(job) for job in unfinished]}
        versions = {job.id: job.version for job in unfinished}
        opening = RETRY + frame("snapshot", snapshot, event_id=str(now))
        return self._response(caller, source, caller.tenant_id, now, versions, opening)

    def _response(
        self,
        caller: Principal,
        source: Source[P] | None,
        key: str,
        position: P,
        versions: dict[str, int],
        opening: bytes,
    ) -> Response:
        if self.open[caller.key_id] >= self.max_per_key:
            raise refuse("concurrency_limit", f"This key has {self.max_per_key} streams open.")

        async def body() -> AsyncGenerator[bytes]:
            yield opening
            if source is not None:
                with self._sharing((caller.tenant_id, key), source) as feed:
                    async for chunk in feed.follow(position, versions):
                        yield chunk

        return _EventStream(self, caller.key_id, body())

    @contextmanager
    def _sharing(self, key: tuple[str, str], source: Source[P]) -> Iterator[Feed[P]]:
        """The feed for all streams about one thing; it runs while there is one."""
        shared = self._feeds.get(key) or self._start(key, source)
        shared.streams += 1
        try:
            yield shared.feed
        finally:
            shared.streams -= 1
            if not shared.streams:
                shared.task.cancel()
                del self._feeds[key]

    def _start(self, key: tuple[str, str], source: Source[P]) -> _Shared:
        feed = Feed(source, self.hub, key[1])
        shared = self._feeds[key] = _Shared(feed, asyncio.create_task(_logged(feed)))
        return shared


async def _logged(feed: Feed[Any]) -> None:
    try:
        await feed.run()
    except Exception:  # its streams end, and their clients come back to a new one
        log.exception("feed failed", key=feed.key)


class _EventStream(StreamingResponse):
    """Counts itself among the streams of its key while it runs, and does not wait for a client that stopped reading."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, key_id: str, body: AsyncGenerator[bytes]) -> None:
        super().__init__(body, headers=HEADERS)
        self.streams = streams
        self.key_id = key_id
        self.events = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SLOW_SECONDS):
                await send(message)

        self.streams.open[self.key_id] += 1
        try:
            async with aclosing(self.events):
                await super().__call__(scope, receive, send_in_time)
        except* TimeoutError:
            log.info("slow stream dropped")
        finally:
            self.streams.open -= Counter([self.key_id])  # which also forgets a key without streams
