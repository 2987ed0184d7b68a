"""A token bucket: it holds a minute's worth, fills evenly, and each request takes one token."""

import time
from collections.abc import Callable

MINUTE_SECONDS = 60.0
MAX_BUCKETS = 10_000
"""Full buckets are forgotten first: they are as good as new ones."""


class TokenBucket:
    def __init__(self, per_minute: int, *, now: float) -> None:
        self.capacity = float(per_minute)
        self.tokens = self.capacity
        self.at = now

    def fill(self, now: float) -> float:
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.capacity / MINUTE_SECONDS)
        self.at = now
        return self.tokens

    def take(self, wanted: int, *, now: float) -> int:
        """Up to `wanted` tokens; 0 when there is not a whole one."""
        granted = min(wanted, int(self.fill(now)))
        self.tokens -= granted
        return granted


class LocalBuckets:
    """Buckets of this process, one for each subject, all of the same size."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, subject: str, *, per_minute: int, wanted: int = 1) -> int:
        return self._bucket(subject, per_minute).take(wanted, now=self._clock())

    def remaining(self, subject: str, *, per_minute: int) -> int:
        return int(self._bucket(subject, per_minute).fill(self._clock()))

    def _bucket(self, subject: str, per_minute: int) -> TokenBucket:
        found = self._buckets.get(subject)
        if found is None or found.capacity != per_minute:
            if len(self._buckets) >= MAX_BUCKETS:
                self._forget()
            found = self._buckets[subject] = TokenBucket(per_minute, now=self._clock())
        return found

    def _forget(self) -> None:
        now = self._clock()
        used = {name: bucket for name, bucket in self._buckets.items() if bucket.fill(now) < bucket.capacity}
        # under attack from ever new subjects none may be full; then those who came first go
        self._buckets = dict(list(used.items())[-MAX_BUCKETS // 2 :])
