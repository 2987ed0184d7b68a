"""The classes that a configuration gives names to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.contracts.problem import refuse

MAX_CLASSES = 65_536
MAX_NAMED = 10_000
"""More are counted and not named."""

_MAX_NAME_CHARACTERS = 200
_PLACEHOLDER = re.compile(r"LABEL_\d+")
_INDEX = re.compile(r"0|[1-9]\d{0,5}")
_DEFAULT_COUNT = 2  # of a configuration that says nothing


@dataclass(frozen=True)
class Labels:
    count: int
    names: tuple[str, ...] | None
    """In the order of the outputs; None where they are only numbered."""


def labels_of(config: Mapping[str, Any]) -> Labels:
    """Raises ProblemFound."""
    named = config.get("id2label")
    if named is None:
        return Labels(_count(config.get("num_labels", _DEFAULT_COUNT)), None)
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise refuse("config_value_out_of_range", "`id2label` does not map numbers to names.", entry="config.json")
    count = _count(len(named))
    if not all(_INDEX.fullmatch(key) and int(key) < count for key in named):
        detail = f"`id2label` does not number its {count} classes from 0 to {count - 1}."
        raise refuse("config_value_out_of_range", detail, entry="config.json")
    return Labels(count, _real_names([named[str(index)] for index in range(count)]))


def _count(found: object) -> int:
    if type(found) is not int or not 1 <= found <= MAX_CLASSES:
        detail = f"The number of classes is not between 1 and {MAX_CLASSES}."
        raise refuse("config_value_out_of_range", detail, entry="config.json")
    return found


def _real_names(names: list[str]) -> tuple[str, ...] | None:
    """None for what nobody wrote: LABEL_0, LABEL_1; and for what could not be shown, or told apart."""
    if len(names) > MAX_NAMED or len(set(names)) < len(names) or all(_PLACEHOLDER.fullmatch(name) for name in names):
        return None
    if not all(name.isprintable() and 0 < len(name) <= _MAX_NAME_CHARACTERS for name in names):
        return None
    return tuple(names)
