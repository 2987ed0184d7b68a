"""One piece of garbage, and the sums of many."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["object", "staging", "step", "upload", "idempotency_key"]

MAX_LISTED = 1000
"""Pieces that a report names; the sums are of all."""


@dataclass(frozen=True)
class Garbage:
    kind: Kind
    tenant_id: str
    name: str
    """A digest, an upload's id, or the key of a row."""
    bytes: int
    age_seconds: float


@dataclass
class Tally:
    count: int = 0
    bytes: int = 0


@dataclass
class Sums:
    """What a run came across."""

    of_kind: dict[Kind, Tally] = field(default_factory=dict)
    listed: list[Garbage] = field(default_factory=list)

    @classmethod
    async def of(cls, pieces: AsyncIterator[Garbage]) -> "Sums":
        sums = cls()
        async for piece in pieces:
            sums.add(piece)
        return sums

    def add(self, piece: Garbage) -> None:
        tally = self.of_kind.setdefault(piece.kind, Tally())
        tally.count += 1
        tally.bytes += piece.bytes
        if len(self.listed) < MAX_LISTED:
            self.listed.append(piece)
