"""Any bytes as JSON lines: a problem with a code, or the rows that Python's own reader finds in them."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.tables import rows_of
from workers.ingestion.data.jsonl import open_jsonl

CODES = {"jsonl_invalid", "calibration_empty", "calibration_too_large"}
_LIMIT = 1 << 20


def one_input(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        path = Path(scratch, "data.jsonl")
        path.write_bytes(data)
        found = _read(path)
    if isinstance(found, str):
        assert found in CODES
        return
    lines = (line for line in data.decode("utf-8-sig").split("\n") if line.strip(" \t\r"))
    expected = [json.loads(line) for line in lines]
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert row.keys() == wanted.keys()
        # a list is an array here, whose numbers are of one type
        assert all(np.array_equal(value, np.array(wanted[name]).tolist()) for name, value in row.items())


def _read(path: Path) -> list[dict[str, Any]] | str:
    """The rows, or the code of the problem."""
    try:
        return rows_of(open_jsonl(path, max_unpacked_bytes=_LIMIT))
    except ProblemFound as refused:
        return refused.problem.code


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("jsonl", instrument=["workers.ingestion.data", "app.contracts.strict_json"])
