"""`--set recipe.key=value`: single fields of the job's body from the command line."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

import typer


def apply_assignments(body: dict[str, Any], assignments: Iterable[str]) -> None:
    """Set each `path=value` in `body`. The service judges names and values; here only the form counts."""
    for assignment in assignments:
        path, value = parse_assignment(assignment)
        _place(body, path, value, assignment)


def parse_assignment(assignment: str) -> tuple[list[str], object]:
    """`recipe.per_channel=false` becomes `(["recipe", "per_channel"], False)`."""
    path, equals, value = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        _refuse(assignment, "it looks like recipe.per_channel=false")
    return keys, parse_value(value)


def parse_value(text: str) -> object:
    """JSON where it is JSON (numbers, true, false, null, lists), else the text itself: no quotes needed for a word."""
    try:
        return json.loads(text, parse_constant=_not_json)
    except ValueError:
        return text


def _place(body: dict[str, Any], path: list[str], value: object, assignment: str) -> None:
    *parents, last = path
    for key in parents:
        body = body.setdefault(key, {})
        if not isinstance(body, dict):
            _refuse(assignment, f"'{key}' has no fields")
    body[last] = value


def _not_json(name: str) -> NoReturn:
    """Python reads NaN and Infinity as JSON; JSON does not."""
    raise ValueError(name)


def _refuse(assignment: str, reason: str) -> NoReturn:
    raise typer.BadParameter(f"{assignment!r}: {reason}", param_hint="'--set'")
