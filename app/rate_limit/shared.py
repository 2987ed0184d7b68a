"""Buckets that all API processes share, in Redis. One script call takes a lot of tokens; Redis' clock fills them."""

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from app.rate_limit.bucket import MINUTE_SECONDS

if TYPE_CHECKING:  # imported on first use, as in `app.jobs.announce`
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

TIMEOUT_SECONDS = 0.25
"""A request must not wait for its permission longer than for its answer."""

_KEY = "lowbit:rate:"

_TAKE = """
local capacity, per_second, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local seen = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(capacity, tonumber(seen[1] or capacity) + (now - tonumber(seen[2] or now)) * per_second)
local granted = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - granted), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / per_second) + 1)
return {granted, math.floor(tokens - granted)}
"""


class Lot(NamedTuple):
    granted: int
    left: int
    """In the shared bucket."""


class SharedBuckets:
    def __init__(self, broker_url: str) -> None:
        # Celery writes redis+socket:///path where redis-py writes unix:///path
        self._url = broker_url.replace("redis+socket://", "unix://", 1)

    async def take(self, subject: str, *, per_minute: int, wanted: int) -> Lot:
        """Up to `wanted` tokens. Raises RedisError when Redis cannot be asked."""
        answer = await self._script(keys=[_KEY + subject], args=[per_minute, per_minute / MINUTE_SECONDS, wanted])
        return Lot(*cast("list[int]", answer))

    async def close(self) -> None:
        if "_redis" in self.__dict__:
            await self._redis.aclose()

    @cached_property
    def _script(self) -> "AsyncScript":
        return self._redis.register_script(_TAKE)

    @cached_property
    def _redis(self) -> "Redis":
        from redis.asyncio import Redis  # noqa: PLC0415  see TYPE_CHECKING above
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        return Redis.from_url(
            self._url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),  # the limiter has something better to do than to try again: its own buckets
        )
