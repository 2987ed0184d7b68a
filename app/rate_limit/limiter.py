"""Lets a request pass or not, and asks Redis only once for many requests.

A process takes a second's worth of tokens at once and spends them without asking. When Redis cannot be asked, each
process limits by itself: the limit is then that of one process times their number, but it never falls away.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from app.rate_limit.bucket import MAX_BUCKETS, MINUTE_SECONDS, LocalBuckets
from app.rate_limit.shared import Lot

log = structlog.get_logger("lowbit.rate_limit")

REDIS_PAUSE_SECONDS = 5.0
"""After a failure Redis is left alone for so long, so that not every request pays for the attempt."""


class Verdict(NamedTuple):
    passed: bool
    limit: int
    remaining: int

    @property
    def retry_after_seconds(self) -> int:
        """When one token is there again."""
        return max(1, math.ceil(MINUTE_SECONDS / self.limit))

    @property
    def reset_seconds(self) -> int:
        """When the bucket is full again."""
        return math.ceil((self.limit - self.remaining) * MINUTE_SECONDS / self.limit)


class Shared(Protocol):
    async def take(self, subject: str, *, per_minute: int, wanted: int) -> Lot: ...


@dataclass
class _Held:
    """Tokens of one subject that this process has taken and not spent yet."""

    per_minute: int
    tokens: int = 0
    left: int = 0
    empty_until: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimiter:
    def __init__(self, shared: Shared, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._local = LocalBuckets(clock=clock)
        self._held: dict[str, _Held] = {}
        self._redis_after = 0.0

    async def spend(self, subject: str, *, per_minute: int) -> Verdict:
        """Take one token of the subject's bucket, which holds `per_minute` and fills in a minute."""
        held = self._of(subject, per_minute)
        if held.tokens == 0 and self._clock() >= held.empty_until:
            async with held.asking:
                if held.tokens == 0:  # else another request has asked while this one waited
                    await self._fetch(subject, held)
        if held.tokens == 0:
            return Verdict(passed=False, limit=per_minute, remaining=0)
        held.tokens -= 1
        return Verdict(passed=True, limit=per_minute, remaining=held.tokens + held.left)

    async def _fetch(self, subject: str, held: _Held) -> None:
        wanted = max(1, int(held.per_minute / MINUTE_SECONDS))
        held.tokens, held.left = await self._take(subject, held.per_minute, wanted)
        if held.tokens == 0:  # so a client that hammers costs nobody a question until the next token is there
            held.empty_until = self._clock() + min(1.0, MINUTE_SECONDS / held.per_minute)

    async def _take(self, subject: str, per_minute: int, wanted: int) -> Lot:
        if self._clock() >= self._redis_after:
            from redis.exceptions import RedisError  # noqa: PLC0415  the API's start need not spend its import

            try:
                return await self._shared.take(subject, per_minute=per_minute, wanted=wanted)
            except (RedisError, OSError) as error:
                self._redis_after = self._clock() + REDIS_PAUSE_SECONDS
                log.warning("each process limits by itself", error=type(error).__name__)
        granted = self._local.take(subject, per_minute=per_minute, wanted=wanted)
        return Lot(granted, self._local.remaining(subject, per_minute=per_minute))

    def _of(self, subject: str, per_minute: int) -> _Held:
        held = self._held.get(subject)
        if held is None or held.per_minute != per_minute:
            if len(self._held) >= MAX_BUCKETS:
                self._held.clear()  # what is lost is a second's worth of tokens each
            held = self._held[subject] = _Held(per_minute)
        return held
