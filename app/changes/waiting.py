"""`Prefer: wait=N` (RFC 7240): hold a GET until the resource has changed or the time is over."""

import re
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Header, Request

from app.changes.hub import Hub

MAX_WAIT_SECONDS = 60
LOOK_SECONDS = 5.0
"""The resource is read again this often even when nobody tells of a change. No connection is held in between."""

T = TypeVar("T")


async def _preferred_wait(prefer: Annotated[str | None, Header()] = None) -> float:
    found = re.search(r"\bwait\s*=\s*(\d{1,6})", prefer or "")
    return min(float(found.group(1)), MAX_WAIT_SECONDS) if found else 0.0


async def _hub(request: Request) -> Hub:  # both asynchronous, or FastAPI would ask a thread for them
    return cast("Hub", request.app.state.hub)


PreferredWait = Annotated[float, Depends(_preferred_wait)]
Changes = Annotated[Hub, Depends(_hub)]


async def until(
    read: Callable[[], Awaitable[T]], settled: Callable[[T], bool], *, seconds: float, hub: Hub, keys: Collection[str]
) -> T:
    """Read whenever one of `keys` (see `Hub.watch`) has changed, until `settled` holds or `seconds` have passed.

    Returns the last reading either way; early when the process is about to stop.
    """
    if not seconds:
        return await read()
    deadline = time.monotonic() + seconds
    with hub.watch(*keys) as watch:
        while True:
            watch.clear()  # before reading: what changes meanwhile wakes again
            seen = await read()
            remaining = deadline - time.monotonic()
            if remaining <= 0 or hub.closed or settled(seen):
                return seen
            await watch.wait(min(LOOK_SECONDS, remaining))
