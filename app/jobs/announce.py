"""Tells the workers that something waits. The message carries no job and no authority: a worker asks the database.

So a lost, repeated or forged message is harmless, and this module may give up on any error: `upkeep` asks again.
"""

import asyncio
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import anyio.to_thread
import structlog

if TYPE_CHECKING:  # imported on first use: celery takes half a second, which the API's start need not spend
    from celery import Celery
    from redis import Redis

log = structlog.get_logger("lowbit.announce")

TASK_NAME = "lowbit.run_next"
SOCKET_TIMEOUT_SECONDS = 3.0
"""redis-py waits for ever by default; a broker that hangs must not take our threads with it."""


class Announcer:
    def __init__(self, broker_url: str) -> None:
        self.broker_url = broker_url
        self._underway: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Import what the first announcement needs, so that no job waits for it."""
        await anyio.to_thread.run_sync(lambda: (self._celery, self._redis))

    def announce_soon(self, queues: Iterable[str]) -> None:
        """Send in the background, after the transaction that made the announcement true."""
        for queue in set(queues):
            task = asyncio.create_task(self.announce(queue))
            self._underway.add(task)
            task.add_done_callback(self._underway.discard)

    async def announce(self, queue: str) -> None:
        try:
            await anyio.to_thread.run_sync(self._send, queue)
        except Exception as error:  # noqa: BLE001  whatever the broker's library raises, the dispatcher asks again
            log.warning("broker not reachable", queue=queue, error=type(error).__name__)

    async def is_idle(self, queue: str) -> bool:
        """True if no announcement for the queue waits to be read."""
        return await anyio.to_thread.run_sync(lambda: self._redis.llen(queue) == 0)

    async def check(self) -> None:
        """Raise if the broker does not answer."""
        await anyio.to_thread.run_sync(self._redis.ping)

    def _send(self, queue: str) -> None:
        self._celery.send_task(TASK_NAME, args=[queue], queue=queue, ignore_result=True, retry=False)

    @cached_property
    def _celery(self) -> "Celery":
        from celery import Celery  # noqa: PLC0415  see TYPE_CHECKING above

        celery = Celery("lowbit", broker=self.broker_url)
        celery.conf.broker_transport_options = {
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        }
        return celery

    @cached_property
    def _redis(self) -> "Redis":
        from redis import Redis  # noqa: PLC0415  see TYPE_CHECKING above

        # Celery writes redis+socket:///path where redis-py writes unix:///path
        url = self.broker_url.replace("redis+socket://", "unix://", 1)
        return Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT_SECONDS, socket_connect_timeout=SOCKET_TIMEOUT_SECONDS)
