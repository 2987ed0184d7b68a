"""Numbers that were written as digits: they have no element type of their own, so they take the model's."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import ModelInspection
from app.contracts.problem import quoted, refuse
from workers.ingestion.data.samples import Batch, SampleColumn
from workers.ingestion.data.table import Table

_BECOMES = {"int64": "iuf", "float64": "f"}
"""Kinds of numpy that whole numbers and numbers can become; nothing is rounded to a whole number."""


@dataclass(frozen=True)
class WrittenNumbers:
    source: Table
    dtypes: dict[str, str]
    """Of the columns that are converted."""

    @property
    def num_samples(self) -> int:
        return self.source.num_samples

    @property
    def columns(self) -> tuple[SampleColumn, ...]:
        return tuple(c._replace(dtype=self.dtypes.get(c.name, c.dtype)) for c in self.source.columns)

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        for batch in self.source.batches(rows, names=names, limit=limit):
            yield {n: converted(a, self.dtypes[n], n) if n in self.dtypes else a for n, a in batch.items()}


def as_model_numbers(source: Table, model: ModelInspection) -> WrittenNumbers:
    """The table with the columns that are inputs of the model in the model's element types, where that loses nothing
    but digits."""
    written = {c.name: c.dtype for c in source.columns}
    wanted = {i.name: i.dtype for i in model.inputs if i.name in written}
    dtypes = {name: dtype for name, dtype in wanted.items() if can_become(written[name], dtype)}
    return WrittenNumbers(source, dtypes)


def can_become(written: str, dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in _BECOMES.get(written, "")
    except TypeError:
        return False


def converted(array: npt.NDArray[np.generic], dtype: str, name: str) -> npt.NDArray[np.generic]:
    """Raises ProblemFound for what the element type does not hold."""
    with np.errstate(over="ignore"):
        found = array.astype(dtype)
    lost = not np.isfinite(found).all() if found.dtype.kind == "f" else not np.array_equal(found, array)
    if lost:
        detail = f"{quoted(name)} holds a number that is too large for the model's {dtype}."
        hint = "Look for a slip in the data, or bring its numbers into the range that the model was trained on."
        raise refuse("calibration_dtype_mismatch", detail, entry=name, hint=hint)
    return found
