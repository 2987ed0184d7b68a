"""Two fingerprints side by side: which names differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Fingerprint = Mapping[str, Any]
"""Names and values as JSON has them, nested; equal fingerprints are equal to the last bit."""

ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before} -> {self.after}"


def differences(before: Fingerprint, after: Fingerprint) -> list[Difference]:
    """Every name whose values differ, and every name that only one of them has."""
    ours, theirs = dict(_flat(before)), dict(_flat(after))
    names = list(dict.fromkeys([*ours, *theirs]))
    pairs = [Difference(name, ours.get(name, ABSENT), theirs.get(name, ABSENT)) for name in names]
    return [pair for pair in pairs if pair.before != pair.after]


def facts(fingerprint: Fingerprint) -> int:
    """How many values are compared."""
    return sum(1 for _ in _flat(fingerprint))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  as it came out of JSON
    """Each value as JSON writes it, which tells 0.0 from -0.0 and 1 from true, and keeps every bit of a float."""
    if isinstance(value, Mapping) and (value or not name):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{number}]")
    else:
        yield name, json.dumps(value)
