"""A JSON document, each of whose values is replaced in turn by everything that it is not."""

import copy
import json
from collections.abc import Iterator
from typing import Any

OTHERS: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 1.5, -0.0, "", "x", "../x", "\ud800", [], [[]], [None], ["x"], [-1], {}, {"x": {}},
    {"type": {}}, {"type": []},
)  # fmt: skip


def damaged(document: Any) -> Iterator[Any]:
    """Copies that differ in one place: a value replaced, or a member left out."""
    for path in _paths(document):
        for other in OTHERS:
            changed = copy.deepcopy(document)
            _at(changed, path[:-1])[path[-1]] = other
            yield changed
        changed = copy.deepcopy(document)
        del _at(changed, path[:-1])[path[-1]]
        yield changed


def written(document: Any) -> bytes:
    """As a file; half a surrogate pair is spelled out, as JSON allows."""
    return json.dumps(document).encode()


def _paths(found: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in members:
        yield (*above, key)
        yield from _paths(value, (*above, key))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document
