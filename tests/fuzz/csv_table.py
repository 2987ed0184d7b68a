"""Any bytes as CSV: a problem with a code, or the fields that Python's own reader finds."""

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.tables import rows_of
from workers.ingestion.data.csv_table import open_csv

CODES = {"csv_invalid", "calibration_empty", "calibration_too_large"}
_LIMIT = 1 << 20


def one_input(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        path = Path(scratch, "data.csv")
        path.write_bytes(data)
        found = _read(path)
    if isinstance(found, str):
        assert found in CODES
        return
    text = data.decode("utf-8-sig")
    assert any(_same(found, text, delimiter) for delimiter in ",;\t")


def _same(found: list[dict[str, Any]], text: str, delimiter: str) -> bool:
    header, *records = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if r]
    if len(records) != len(found) or any(len(record) != len(header) for record in records):
        return False
    rows = (dict(zip(header, record, strict=True)) for record in records)
    return all(_equal(row, wanted) for row, wanted in zip(found, rows, strict=True))


def _equal(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    """A column of numbers gives what Python reads in each of its fields."""
    if row.keys() != wanted.keys():
        return False
    return all(
        value == wanted[name] if isinstance(value, str) else value == type(value)(wanted[name])
        for name, value in row.items()
    )


def _read(path: Path) -> list[dict[str, Any]] | str:
    """The rows, or the code of the problem."""
    try:
        return rows_of(open_csv(path, max_unpacked_bytes=_LIMIT))
    except ProblemFound as refused:
        return refused.problem.code


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("csv_table", instrument=["workers.ingestion.data"])
