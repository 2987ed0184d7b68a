"""A table whose file holds one row after the other as text: read once to learn its columns, and then as often as asked.

JSON lines and CSV differ only in how a row is spelled.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import LeftOut
from app.contracts.problem import refuse
from workers.ingestion.data.samples import Batch, SampleColumn
from workers.ingestion.data.table import TEXT, Piece, pieces_of_rows, row_elements

Value = bool | int | float | str | npt.NDArray[np.generic]
Row = dict[str, Value]


@dataclass(frozen=True)
class RowTable:
    columns: tuple[SampleColumn, ...]
    num_samples: int
    row_bytes: int
    """Of the longest row as it is spelled, and of its numbers."""
    rows: Callable[[], Iterator[tuple[int, Row]]]
    """From the beginning again: the number of the line that a row begins in, and its values by column."""
    left_out: tuple[LeftOut, ...] = ()

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        columns = [c for c in self.columns if names is None or c.name in names]
        left = self.num_samples if limit is None else min(limit, self.num_samples)
        source = self.rows()
        while left > 0:
            taken = [row for _, row in islice(source, min(rows, left))]
            yield {c.name: _column([row[c.name] for row in taken], c.dtype) for c in columns}
            left -= len(taken)

    def pieces(self, *, chunk_bytes: int) -> Iterator[Piece]:  # noqa: ARG002  a row is short: lines are limited
        return pieces_of_rows(self)

    def place(self, row: int) -> str:
        return f"Line {next(islice(self.rows(), row, None))[0]}"

    def only(self, names: Collection[str]) -> "RowTable":
        return replace(self, columns=tuple(c for c in self.columns if c.name in names))


def refuse_larger(columns: tuple[SampleColumn, ...], num_samples: int, max_unpacked_bytes: int | None) -> None:
    """Digits can take less room than the numbers they spell."""
    unpacked = num_samples * numbers_bytes(columns)
    if max_unpacked_bytes is not None and unpacked > max_unpacked_bytes:
        detail = f"The numbers take {unpacked} bytes in memory; the limit is {max_unpacked_bytes}."
        raise refuse("calibration_too_large", detail)


def numbers_bytes(columns: tuple[SampleColumn, ...]) -> int:
    """Of one row."""
    return sum(row_elements(c) * np.dtype(c.dtype).itemsize for c in columns if c.dtype != TEXT)


def _column(values: list[Value], dtype: str) -> npt.NDArray[np.generic]:
    if dtype == TEXT:
        return np.array(values, np.dtypes.StringDType())
    return np.asarray(values).astype(dtype, copy=False)
