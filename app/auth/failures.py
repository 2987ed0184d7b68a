"""Slows down who tries keys. Counted for each address, and for each address and key id together.

A key that was valid a moment ago is not held up by the wrong ones that come from the same address.
"""

from app.rate_limit.bucket import LocalBuckets

ADDRESS_FACTOR = 10
"""One address may stand for an office: it may fail more often than one key may."""


class FailureLimit:
    def __init__(self, per_minute: int) -> None:
        """`per_minute` 0 is no limit."""
        self._per_minute = per_minute
        self._buckets = LocalBuckets()

    def reached(self, address: str, key_id: str) -> bool:
        return self._per_minute > 0 and any(
            self._buckets.remaining(subject, per_minute=size) == 0 for subject, size in self._sizes(address, key_id)
        )

    def count(self, address: str, key_id: str) -> None:
        if self._per_minute > 0:
            for subject, size in self._sizes(address, key_id):
                self._buckets.take(subject, per_minute=size)

    def _sizes(self, address: str, key_id: str) -> list[tuple[str, int]]:
        return [(f"{address} {key_id}", self._per_minute), (address, self._per_minute * ADDRESS_FACTOR)]
