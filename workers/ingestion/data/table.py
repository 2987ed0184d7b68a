"""A file of named columns as it is, before any preparation: what is inspected, and what texts are taken from."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import LeftOut
from app.contracts.problem import ProblemFound, quoted, refuse
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
    """`num_samples` is that of most of the data: arrays of another length are read where they are named, or are asked
    for as the `only` ones."""

    @property
    def row_bytes(self) -> int:
        """What one sample takes in memory, roughly; of texts, what is usual."""
        ...

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Columns that are not among `columns`, since no model could take them."""
        ...

    def only(self, names: Collection[str]) -> Self:
        """The same table without the other columns."""
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


def common_length(columns: Sequence[SampleColumn]) -> int:
    """The number of samples: what labels and an array agree on, else what the largest arrays have.

    Others may be anything a user keeps beside the samples. Raises ProblemFound.
    """
    lengths = {c.name: int(c.shape[0]) for c in columns}
    labels = lengths.pop(LABELS, None)
    if labels is None or labels in lengths.values() or not lengths:
        return labels if labels is not None else _most_bytes(columns)
    samples = _most_bytes([c for c in columns if c.name != LABELS])
    detail = f"There are {labels} labels for {samples} samples."
    raise refuse("labels_length_mismatch", detail, entry=LABELS)


def _most_bytes(columns: Sequence[SampleColumn]) -> int:
    sizes = Counter[int]()
    for column in columns:
        sizes[int(column.shape[0])] += elements(column) * np.dtype(column.dtype).itemsize
    return max(sizes, key=lambda length: sizes[length])


def left_out(name: str, found: ProblemFound) -> LeftOut:
    problem = found.problem
    return LeftOut(name=quoted(name), code=problem.code, detail=problem.detail, hint=problem.hint)


def refuse_unusable(columns: Collection[str], refused: Sequence[ProblemFound]) -> None:
    """Raises the first of the problems where they leave nothing to feed a model with."""
    if refused and not set(columns) - {LABELS}:
        raise refused[0]


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def _length(batch: Batch) -> int:
    return len(next(iter(batch.values())))
