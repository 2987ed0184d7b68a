"""What every data set is to a job, whatever file it came from: rows of named arrays, read as often as needed."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import Dimension

Batch = dict[str, npt.NDArray[np.generic]]

LABELS = "labels"
"""The column of classes, as int64; it is no input of the model unless the model has one of that name."""

PLACES_OF_NAMES = (
    "Store the place of each among the model's outputs, from 0: "
    "numpy.array([classes.index(name) for name in labels]), with `classes` in the order of the outputs."
)
"""The remedy for labels that are names where nothing says their order."""


class SampleColumn(NamedTuple):
    name: str
    dtype: str
    """numpy's name."""
    shape: tuple[Dimension, ...]
    """With the number of samples first; an extent that differs from batch to batch is named."""


class Samples(Protocol):
    """Holds one batch in memory at a time. Reading twice gives the same twice."""

    @property
    def num_samples(self) -> int: ...

    @property
    def columns(self) -> tuple[SampleColumn, ...]: ...

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        """Batches of up to `rows` samples of the named columns, in the order of the file; at most `limit` samples.

        Raises ProblemFound for what only reading shows.
        """
        ...
