"""What is known of a code wherever it occurs."""

from typing import NamedTuple


class KnownProblem(NamedTuple):
    status: int
    title: str
    hint: str
    """What to do, or what would be accepted, where the place that finds the problem says nothing closer."""
    retryable: bool = False
