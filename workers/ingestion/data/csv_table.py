"""CSV with a header line (RFC 4180): columns of whole numbers, of numbers, or of text, as all their fields allow."""

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.lines import MAX_LINE_BYTES, Line, lines_of, refuse_line
from workers.ingestion.data.row_table import Row, RowTable, Value, numbers_bytes, refuse_larger
from workers.ingestion.data.samples import SampleColumn
from workers.ingestion.data.table import MAX_COLUMNS, MAX_NAME, TEXT, usable_name

_DELIMITERS = ",;\t"
_WHOLE = re.compile(r" *[+-]?[0-9]{1,18} *", re.ASCII)
# no step takes back what it took: a long field of digits that is no number would be tried in the square of its length
_NUMBER = re.compile(r" *+[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)? *+", re.ASCII)
_NO_NUMBER = frozenset({"", "nan", "inf", "+inf", "-inf", "infinity", "-infinity", "null", "none", "na", "n/a"})
"""What tools write into a column of numbers where there is none."""


class _Record(NamedTuple):
    line: int
    fields: list[str]
    length: int


@dataclass
class _Column:
    """What a column's fields can be read as so far."""

    dtype: str = "int64"
    numbers: bool = False
    gap: int | None = None
    """The first line that holds no number, if the rest were numbers."""

    def learn(self, line: int, text: str) -> None:
        if self.dtype == TEXT:
            return
        if text.strip().lower() in _NO_NUMBER:
            self.gap = self.gap or line
        elif _WHOLE.fullmatch(text):
            self.numbers = True
        elif _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            self.dtype, self.numbers = "float64", True
        else:
            self.dtype = TEXT


def open_csv(path: Path, *, max_unpacked_bytes: int | None = None) -> RowTable:
    """Reads the whole file once. Raises ProblemFound with the number of the line that is wrong."""
    columns: dict[str, _Column] = {}
    names: list[str] | None = None
    count = longest = 0
    for line, fields, length in _records(path):
        if names is None:
            names = _header(fields)
            columns = {name: _Column() for name in names}
            continue
        count += 1
        longest = max(longest, length)
        for column, text in zip(columns.values(), fields, strict=True):
            column.learn(line, text)
    if not count:
        raise refuse("calibration_empty", "The file holds no lines after its header.")
    found = tuple(SampleColumn(name, _dtype(name, c), (count,)) for name, c in columns.items())
    refuse_larger(found, count, max_unpacked_bytes)
    return RowTable(found, count, longest + numbers_bytes(found), partial(_rows, path, found))


def _rows(path: Path, columns: tuple[SampleColumn, ...]) -> Iterator[tuple[int, Row]]:
    records = _records(path)
    next(records)
    for line, fields, _ in records:
        yield line, {c.name: _value(text, c.dtype) for c, text in zip(columns, fields, strict=True)}


def _value(text: str, dtype: str) -> Value:
    if dtype == TEXT:
        return text
    return int(text) if dtype == "int64" else float(text)


def _records(path: Path) -> Iterator[_Record]:
    """The header and all records, each with as many fields as the header."""
    lines = _Feed(path)
    reader = csv.reader(lines, delimiter=lines.delimiter, strict=True)
    width: int | None = None
    blank: int | None = None
    while True:
        first = lines.begin()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            hint = 'Double the quotes within a field: "say ""hi""".'
            raise _wrong(first, f"is not a record: {quoted(str(error))}", hint) from error
        if fields is None:
            return
        if not fields:
            blank = blank or first
            continue
        if blank is not None:
            raise _wrong(blank, "is empty")
        width = width or len(fields)
        if len(fields) != width:
            raise _wrong(
                first, f"has {len(fields)} fields; the header has {width}", "Quote fields that hold a delimiter."
            )
        yield _Record(first, fields, lines.taken)


class _Feed(Iterator[str]):
    """Lines for the csv reader, which joins those that a quoted field spans: a record that does not end is stopped."""

    def __init__(self, path: Path) -> None:
        self._lines = lines_of(path, "csv_invalid")
        self._first = next(self._lines, Line(1, ""))
        self._next = 1
        self.delimiter = _delimiter(self._first.text)
        self.taken = 0
        """Characters of the record."""

    def begin(self) -> int:
        """The line in which the next record begins."""
        self.taken = 0
        return self._next

    def __next__(self) -> str:
        number, text = self._first if self._next == 1 else next(self._lines)
        self._next = number + 1
        if not text:
            raise StopIteration
        self.taken += len(text)
        if self.taken > MAX_LINE_BYTES:
            raise _wrong(
                number, f"belongs to a record longer than {MAX_LINE_BYTES} characters", "Is a quote left open?"
            )
        return text


def _delimiter(header: str) -> str:
    """The one that makes the most of the first line; the comma where none does."""
    return max(_DELIMITERS, key=lambda d: _fields(header, d))


def _fields(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0


def _header(names: list[str]) -> list[str]:
    if len(names) > MAX_COLUMNS:
        raise _wrong(1, f"names {len(names)} columns; {MAX_COLUMNS} is the limit")
    if "" in names:
        raise _wrong(1, "has a column without a name", "With pandas: frame.to_csv(path, index=False).")
    for name in names:
        if not usable_name(name):
            raise _wrong(1, f"has a name that is longer than {MAX_NAME} characters or not printable")
    if len(set(names)) < len(names):
        raise _wrong(1, "names a column twice")
    if all(_NUMBER.fullmatch(name) for name in names):
        raise _wrong(1, "holds numbers where the names of the columns belong")
    return names


def _dtype(name: str, column: _Column) -> str:
    if column.dtype != TEXT and not column.numbers:
        return TEXT  # nothing but empty fields
    if column.dtype != TEXT and column.gap is not None:
        raise _wrong(column.gap, f"has no number for {quoted(name)}, which is a number in other lines")
    return column.dtype


def _wrong(number: int, what: str, hint: str | None = None) -> ProblemFound:
    return refuse_line("csv_invalid", number, what, hint)
