"""JSON as its standard means it: no name twice, no NaN, no number beyond all bounds, no nesting without an end.

Python's own reader takes all of these, and another reader may see another document in them.
"""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

MAX_DEPTH = 64
_MAX_DIGITS = 64
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")


class NotStrictJson(Exception):
    """The message is the reason, in words that a user understands and without the document's own."""


class NamedTwice(NotStrictJson):
    """An object has two members of one name."""

    def __init__(self, name: str) -> None:
        super().__init__("it names something twice")
        self.name = name


class UnboundedNumber(NotStrictJson):
    """NaN, infinity, or more digits than any number has."""


class TooMuchJson(NotStrictJson):
    """Longer or deeper than any real document of its kind."""


def read_json(path: Path, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> object:
    """Raises NotStrictJson; FileNotFoundError."""
    if path.stat().st_size > max_bytes:
        raise TooMuchJson(f"it has more than {max_bytes} bytes")
    return parse_json(path.read_bytes(), max_depth=max_depth)


def parse_json(data: bytes | str, *, max_depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401  whatever the text holds
    """The value that a UTF-8 text holds. Raises NotStrictJson."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise NotStrictJson("it is not UTF-8") from error
    if _depth_exceeds(text, max_depth):
        raise TooMuchJson(f"it is nested more than {max_depth} deep")
    try:
        found = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded
        )
    except (ValueError, RecursionError) as error:
        raise NotStrictJson(f"it is not JSON: {str(error)[:120]}") from error
    if "\\u" in text:
        _refuse_lone_surrogates(found)
    return found


def _depth_exceeds(text: str, limit: int) -> bool:
    """Counted before parsing, which recurses. Brackets within strings are none."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        opening = token.group()
        if opening in _OPENING:
            depth += 1
            if depth > limit:
                return True
        elif opening in _CLOSING:
            depth -= 1
    return False


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NamedTwice(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return found


def _no_constant(name: str) -> object:
    raise UnboundedNumber(f"it holds {name}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UnboundedNumber("it holds a number that is too large")
    return number


def _bounded(text: str) -> int | float:
    if len(text) > _MAX_DIGITS:
        raise UnboundedNumber(f"it holds a number of more than {_MAX_DIGITS} digits")
    return -0.0 if text == "-0" else int(text)  # no integer is a negative zero, and some readers say so


def _refuse_lone_surrogates(found: object) -> None:
    """Half a character, which JSON can spell and no encoding can hold."""
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotStrictJson("it holds half of a surrogate pair") from error
