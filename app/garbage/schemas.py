"""What the API says about garbage."""

from typing import Literal

from pydantic import BaseModel

from app.garbage.found import Garbage, Kind, Sums


class GarbageTotal(BaseModel):
    kind: Kind
    count: int
    bytes: int


class GarbageItem(BaseModel):
    kind: Kind
    tenant_id: str
    name: str
    bytes: int
    age_seconds: float

    @classmethod
    def of(cls, piece: Garbage) -> "GarbageItem":
        return cls.model_validate(piece, from_attributes=True)


class GarbageRead(BaseModel):
    object: Literal["garbage"] = "garbage"
    removed: bool
    """False after a look, true after a collection."""
    totals: list[GarbageTotal]
    items: list[GarbageItem]
    """The first thousand."""

    @classmethod
    def of(cls, sums: Sums, *, removed: bool) -> "GarbageRead":
        totals = [GarbageTotal(kind=kind, count=t.count, bytes=t.bytes) for kind, t in sums.of_kind.items()]
        return cls(removed=removed, totals=totals, items=[GarbageItem.of(piece) for piece in sums.listed])
