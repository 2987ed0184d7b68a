"""A file of named columns as it is, before any preparation: what is inspected, and what texts are taken from."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from app.contracts.problem import quoted, refuse
from workers.ingestion.data.samples import LABELS, Batch, SampleColumn, Samples

TEXT = "string"
"""The dtype of a column of texts, whose batches are numpy's StringDType."""
MAX_COLUMNS = 256
MAX_NAME = 200
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 1024


class Piece(NamedTuple):
    """Some elements of a column, flat, and how many came before them."""

    name: str
    start: int
    values: npt.NDArray[np.generic]


class Table(Samples, Protocol):
    @property
    def row_bytes(self) -> int:
        """What one sample takes in memory, roughly; of texts, what is usual."""
        ...

    def pieces(self, *, chunk_bytes: int) -> Iterator[Piece]:
        """Every element once, in the order that suits the file. Reads to the end, and checks what only that shows."""
        ...

    def place(self, row: int) -> str:
        """Where a sample is, as one looks for it: "Line 3"."""
        ...


def rows_at_a_time(row_bytes: int) -> int:
    """How many samples make a batch of a few MiB."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(row_bytes, 1)))


def column_of(samples: Samples, name: str) -> SampleColumn | None:
    return next((c for c in samples.columns if c.name == name), None)


def elements(column: SampleColumn) -> int:
    """Of all samples together: the extents of a table's columns are numbers."""
    return math.prod(int(extent) for extent in column.shape)


def row_elements(column: SampleColumn) -> int:
    return math.prod(int(extent) for extent in column.shape[1:])


def usable_name(name: str) -> bool:
    """Can be repeated in a report and given to a preparation."""
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def pieces_of_rows(table: Table) -> Iterator[Piece]:
    """For a file that holds all columns of one row together."""
    done = 0
    for batch in table.batches(rows_at_a_time(table.row_bytes)):
        rows = len(next(iter(batch.values())))
        for name, array in batch.items():
            yield Piece(name, done * (array.size // rows), array.reshape(-1))
        done += rows


def cut(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The same samples in batches of exactly `rows`, the last one perhaps of fewer."""
    waiting: list[Batch] = []
    for batch in batches:
        waiting.append(batch)
        count = sum(_length(b) for b in waiting)
        if count < rows:
            continue
        joined = _joined(waiting)
        whole = count - count % rows
        for start in range(0, whole, rows):
            yield {name: array[start : start + rows] for name, array in joined.items()}
        waiting = [{name: array[whole:] for name, array in joined.items()}] if count > whole else []
    if waiting:
        yield _joined(waiting)


def refuse_uneven(lengths: dict[str, int]) -> int:
    """The number of samples that all columns agree on. Raises ProblemFound."""
    data = {name: n for name, n in lengths.items() if name != LABELS} or lengths
    first, samples = next(iter(data.items()))
    for name, found in data.items():
        if found != samples:
            detail = f"It has {found} samples where {quoted(first)} has {samples}."
            raise refuse(
                "calibration_shape_mismatch", detail, entry=name, hint="Store one row of every array for each sample."
            )
    if lengths.get(LABELS, samples) != samples:
        detail = f"There are {lengths[LABELS]} labels for {samples} samples."
        raise refuse("labels_length_mismatch", detail, entry=LABELS)
    return samples


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def _length(batch: Batch) -> int:
    return len(next(iter(batch.values())))
