"""`Prefer: wait=N` (RFC 7240): hold a GET until the resource has changed or the time is over."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header

MAX_WAIT_SECONDS = 60
POLL_SECONDS = 0.2
"""The resource is read again this often. Each look is a query of its own, and no connection is held in between."""

T = TypeVar("T")


def _preferred_wait(prefer: Annotated[str | None, Header()] = None) -> float:
    found = re.search(r"\bwait\s*=\s*(\d{1,6})", prefer or "")
    return min(float(found.group(1)), MAX_WAIT_SECONDS) if found else 0.0


PreferredWait = Annotated[float, Depends(_preferred_wait)]


async def until(read: Callable[[], Awaitable[T]], settled: Callable[[T], bool], *, seconds: float) -> T:
    """Read again and again until `settled` holds or `seconds` have passed; the last reading either way."""
    deadline = time.monotonic() + seconds
    while True:
        seen = await read()
        remaining = deadline - time.monotonic()
        if remaining <= 0 or settled(seen):
            return seen
        await asyncio.sleep(min(POLL_SECONDS, remaining))
