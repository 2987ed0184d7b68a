"""Where a stream's events come from: the database, read from a position onwards."""

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from app.events.cursor import Cursor

P = TypeVar("P", int, Cursor)
"""A position in the order of events: a number within one job, a cursor across all."""


class Frame(NamedTuple, Generic[P]):
    position: P
    data: bytes


class Progress(NamedTuple):
    """How far a job is. It is not an event: only the newest is of interest."""

    version: int
    data: bytes


@dataclass
class Batch(Generic[P]):
    """What a look at the database found."""

    position: P
    """Everything up to here has been read."""
    frames: list[Frame[P]] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    """By job, of those that run."""
    settled: set[str] = field(default_factory=set)
    """Jobs that have no progress any more."""
    more: bool = False
    """There may be more to read at once."""
    behind: bool = False
    """There is more, which can be read when older transactions have ended: look again, nobody will notify."""
    over: bool = False
    """Nothing follows: the job has ended, or is gone."""


class Source(Protocol[P]):
    async def end(self) -> P:
        """The position behind all that has happened."""
        ...

    async def read(self, after: P, moved: frozenset[str]) -> Batch[P]:
        """What follows a position, with the progress of the jobs that have moved. Holds a connection only meanwhile."""
        ...
