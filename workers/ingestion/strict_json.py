"""JSON that no two parsers read differently: no name twice, no NaN, no half of a surrogate pair (RFC 8259, part 8)."""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

MAX_DEPTH = 64


class NotStrictJson(Exception):
    """The text is not JSON of the strict kind; the message says why, in words that a user understands."""


def parse_json(data: bytes | str, *, max_depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401  whatever the text holds
    """The value that a UTF-8 text holds. Raises NotStrictJson."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except NotStrictJson:
        raise
    except UnicodeDecodeError as error:
        raise NotStrictJson("it is not UTF-8") from error
    except RecursionError as error:
        raise NotStrictJson(f"it is nested more than {max_depth} levels deep") from error
    except ValueError as error:  # which is also what a number of too many digits raises
        raise NotStrictJson(_first_line(error)) from error
    _check(value, max_depth)
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotStrictJson(f"the name {name[:80]!r} comes twice")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotStrictJson(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrictJson("a number is too large")
    return value


def _check(value: Any, max_depth: int) -> None:  # noqa: ANN401  any JSON value
    """Without recursion: a value that could be parsed can still be deeper than it may be."""
    level = [value]
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise NotStrictJson(f"it is nested more than {max_depth} levels deep")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
                below.extend(item)
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                _check_text(item)
        level = below


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotStrictJson("a text holds half of a surrogate pair") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["it is not JSON"])[0][:120]
