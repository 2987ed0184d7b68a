"""Long polls: the service holds the answer back until there is news."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_WAIT_SECONDS = 30.0
"""Proxies close requests that stay silent for about a minute."""

SHORTEST_ROUND_SECONDS = 0.25
"""A proxy or a busy service may answer at once: this keeps a wait from becoming a flood of requests."""


@contextmanager
def even_pace(left_seconds: float) -> Iterator[None]:
    """Make one round of a wait last at least a moment, without running past the deadline."""
    started = time.monotonic()
    yield
    spent = time.monotonic() - started
    rest = min(SHORTEST_ROUND_SECONDS - spent, left_seconds - spent)
    if rest > 0:
        time.sleep(rest)
