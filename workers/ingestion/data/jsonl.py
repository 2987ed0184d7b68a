"""JSON lines: one object a line, all with the same keys; numbers, texts, and lists of numbers of one shape."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.strict_json import NotStrictJson, parse_json
from workers.ingestion.data.lines import lines_of, refuse_line
from workers.ingestion.data.row_table import Row, RowTable, Value, numbers_bytes, refuse_larger
from workers.ingestion.data.samples import SampleColumn
from workers.ingestion.data.table import MAX_COLUMNS, MAX_NAME, TEXT, usable_name

_POSITION = re.compile(r": line 1 column (\d+) \(char \d+\)$")
_INT64 = range(-(1 << 63), 1 << 63)
_SPELLED = {"bool": "true or false", "int64": "a whole number", "float64": "a number", TEXT: "a text"}
_MAX_DEPTH = 16
_NUMBERS = frozenset({bool, int, float})


@dataclass
class _Column:
    dtype: str
    shape: tuple[int, ...]


@dataclass
class _Columns:
    """What the rows so far agree on."""

    found: dict[str, _Column] = field(default_factory=dict)
    longest: int = 0
    rows: int = 0

    def learn(self, number: int, row: Row, length: int) -> None:
        if not self.rows:
            self.found = {name: _Column(*_kind(value)) for name, value in row.items()}
        for name, value in row.items():
            self._agree(number, name, *_kind(value))
        self.rows += 1
        self.longest = max(self.longest, length)

    def _agree(self, number: int, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        column = self.found[name]
        if {dtype, column.dtype} == {"int64", "float64"}:
            column.dtype = dtype = "float64"
        if (dtype, shape) != (column.dtype, column.shape):
            what = f"has {_spelled(dtype, shape)} for {quoted(name)}"
            before = f"the lines before have {_spelled(column.dtype, column.shape)}"
            raise _wrong(
                number, f"{what}; {before}", "Store lists of one length, or the texts themselves." if shape else None
            )


def open_jsonl(path: Path, *, max_unpacked_bytes: int | None = None) -> RowTable:
    """Reads the whole file once. Raises ProblemFound with the number of the line that is wrong."""
    columns = _Columns()
    for number, row, length in _rows(path):
        columns.learn(number, row, length)
    if not columns.rows:
        raise refuse("calibration_empty", "The file holds no lines.")
    found = tuple(SampleColumn(name, c.dtype, (columns.rows, *c.shape)) for name, c in columns.found.items())
    refuse_larger(found, columns.rows, max_unpacked_bytes)
    return RowTable(found, columns.rows, columns.longest + numbers_bytes(found), partial(_numbered, path))


def _numbered(path: Path) -> Iterator[tuple[int, Row]]:
    return ((number, row) for number, row, _ in _rows(path))


def _rows(path: Path) -> Iterator[tuple[int, Row, int]]:
    """Number of the line, its values, its length."""
    names: set[str] | None = None
    blank: int | None = None
    for number, text in lines_of(path, "jsonl_invalid"):
        if not text.strip(" \t\r\n"):
            blank = blank or number
            continue
        if blank is not None:
            raise _wrong(blank, "is empty")
        row = _parsed(number, text)
        if names is None:
            names = _names(number, row)
        elif names != row.keys():
            raise _wrong(number, _difference(names, row))
        yield number, {name: _value(number, name, value) for name, value in row.items()}, len(text)


def _parsed(number: int, text: str) -> dict[str, Any]:
    try:
        row = parse_json(text, max_depth=_MAX_DEPTH)
    except NotStrictJson as error:
        reason = quoted(_POSITION.sub(r" at character \1", str(error)))
        raise _wrong(number, f"is not JSON as the standard has it: {reason}") from error
    if not isinstance(row, dict):
        raise _wrong(number, "is not an object", 'Write {"text": "...", "label": 0} on each line.')
    return row


def _names(number: int, row: dict[str, Any]) -> set[str]:
    if not 0 < len(row) <= MAX_COLUMNS:
        raise _wrong(number, f"has {len(row)} keys; 1 to {MAX_COLUMNS} are possible")
    for name in row:
        if not usable_name(name):
            raise _wrong(number, f"has a key that is empty, longer than {MAX_NAME} characters or not printable")
    return set(row)


def _difference(names: set[str], row: dict[str, Any]) -> str:
    missing, added = sorted(names - row.keys()), sorted(row.keys() - names)
    if missing:
        return f"has no {quoted(missing[0])}, which the first line has"
    return f"has {quoted(added[0])}, which the first line has not"


def _value(number: int, name: str, value: object) -> Value:
    match value:
        case bool() | float() | str():
            return value
        case int() if value in _INT64:
            return value
        case list():
            return _array(number, name, value)
        case None:
            raise _wrong(number, f"has null for {quoted(name)}", "Leave out samples that are not complete.")
        case int():
            raise _wrong(number, f"has a number for {quoted(name)} that 64 bits do not hold")
        case _:
            raise _wrong(
                number, f"has an object for {quoted(name)}", "Texts, numbers and lists of numbers are possible."
            )


def _array(number: int, name: str, value: list[Any]) -> npt.NDArray[np.generic]:
    if not _only_numbers(value):
        raise _more_than_numbers(number, name)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise _wrong(number, f"has a list for {quoted(name)} whose parts differ in length") from error
    if not array.size:
        raise _wrong(number, f"has an empty list for {quoted(name)}")
    if array.dtype.name not in {"bool", "int64", "float64"}:
        raise _more_than_numbers(number, name)
    return array


def _only_numbers(value: list[Any]) -> bool:
    """Asked before numpy sees it, which would give every text the room of the longest."""
    kinds = set(map(type, value))
    return kinds <= {list, *_NUMBERS} and all(_only_numbers(part) for part in value if type(part) is list)


def _more_than_numbers(number: int, name: str) -> ProblemFound:
    return _wrong(number, f"has a list for {quoted(name)} that holds more than numbers of 64 bits")


def _kind(value: Value) -> tuple[str, tuple[int, ...]]:
    match value:
        case bool():
            return "bool", ()
        case int():
            return "int64", ()
        case float():
            return "float64", ()
        case str():
            return TEXT, ()
        case _:
            return value.dtype.name, value.shape


def _spelled(dtype: str, shape: tuple[int, ...]) -> str:
    if not shape:
        return _SPELLED[dtype]
    return f"a list of {' x '.join(map(str, shape))} ({dtype})"


def _wrong(number: int, what: str, hint: str | None = None) -> ProblemFound:
    return refuse_line("jsonl_invalid", number, what, hint)
