"""The service's answer to what went wrong (RFC 9457), read leniently: a client meets newer and broken servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ProblemItem:
    """One thing that is wrong, and where: a JSON pointer into the request, or the name of an entry of a file."""

    detail: str
    pointer: str | None = None
    entry: str | None = None

    def explain(self, told: str = "") -> str:
        """The place and what is wrong there, without what `told` has said already."""
        place = self.pointer or self.entry or ""
        if self.detail not in told:
            return f"{place}: {self.detail}" if place else self.detail
        return f"at {place}" if place not in told else ""


@dataclass(frozen=True)
class Problem:
    """What went wrong. `raw` is the object as the service sent it."""

    code: str
    status: int
    title: str
    detail: str
    errors: tuple[ProblemItem, ...] = ()
    hint: str | None = None
    request_id: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Mapping[str, Any], *, status: int = 0) -> "Problem":
        """Read what the service sent. `status` is the HTTP status, used where the object has none."""
        found = raw.get("status")
        code = str(raw.get("code") or f"http_{status}")
        items = raw.get("errors")
        return cls(
            code=code,
            status=found if isinstance(found, int) else status,
            title=str(raw.get("title") or code),
            detail=str(raw.get("detail") or ""),
            errors=tuple(_item(item) for item in items if isinstance(item, Mapping)) if isinstance(items, list) else (),
            hint=_text(raw, "hint"),
            request_id=_text(raw, "request_id"),
            raw=dict(raw),
        )

    def explain(self) -> str:
        """Title, detail, every place, hint and request id: what a person needs, one fact on each line."""
        lines = [self.title]
        if self.detail and self.detail != self.title:
            lines.append(self.detail)
        lines += [f"  {line}" for item in self.errors if (line := item.explain(self.detail))]
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        if self.request_id:
            lines.append(f"Request id: {self.request_id}")
        return "\n".join(lines)


def _item(raw: Mapping[str, Any]) -> ProblemItem:
    return ProblemItem(detail=str(raw.get("detail") or ""), pointer=_text(raw, "pointer"), entry=_text(raw, "entry"))


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return str(value) if value else None
