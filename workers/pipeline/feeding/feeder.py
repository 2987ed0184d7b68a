"""Rows of a data set as the batches a model takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import ModelInspection
from app.contracts.problem import refuse
from workers.ingestion.data.samples import LABELS, Batch, Samples
from workers.pipeline.feeding.fitting import refuse_misfit
from workers.pipeline.feeding.index_limits import refuse_beyond
from workers.pipeline.feeding.padding import PaddingReader, padding_reader
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import Executor, RuntimeRefused

_MOST_ROWS = 8
_BATCH_BYTES = 64 << 20
"""What the outputs of one batch may take: with all tensors observed, that is what calibration keeps in memory."""


@dataclass(frozen=True)
class Fed:
    """One batch. Rows beyond `rows` repeat the last sample, to fill a model's fixed batch."""

    feeds: Batch
    rows: int
    labels: npt.NDArray[np.generic] | None


@dataclass(frozen=True)
class Feeder:
    """Cuts a data set into batches for one model."""

    samples: Samples
    inputs: tuple[str, ...]
    fixed_batch: int | None
    padding: PaddingReader
    limits: Mapping[str, int] = field(default_factory=dict)
    """How many rows the tables have that inputs index."""

    @property
    def has_labels(self) -> bool:
        return any(c.name == LABELS for c in self.samples.columns)

    def batches(self, rows: int, *, limit: int | None = None) -> Iterator[Fed]:
        rows = self.fixed_batch or rows
        for batch in self.samples.batches(rows, names=(*self.inputs, LABELS), limit=limit):
            refuse_beyond(self.limits, batch)
            labels = None if LABELS in self.inputs else batch.pop(LABELS, None)
            count = len(next(iter(batch.values())))
            yield Fed(self._filled(batch, count), count, labels)

    def rows_of_exactly(self, rows: int) -> Batch:
        """The first samples, from the beginning again where there are too few."""
        first = next(self.samples.batches(rows, names=self.inputs))
        refuse_beyond(self.limits, first)
        # [given, ...] -> [rows, ...]
        return {name: np.resize(array, (rows, *array.shape[1:])) for name, array in first.items()}

    def _filled(self, batch: Batch, count: int) -> Batch:
        if self.fixed_batch is None or count == self.fixed_batch:
            return batch
        missing = self.fixed_batch - count
        return {name: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for name, a in batch.items()}


def feeder_for(model: ModelInspection, samples: Samples, reporter: Reporter) -> Feeder:
    """Raises ProblemFound when the data does not fit."""
    refuse_misfit(model, samples)
    fixed = _fixed_batch(model)
    if fixed is not None and samples.num_samples % fixed:
        reporter.warn(
            "last_batch_padded",
            f"The model takes exactly {fixed} samples at a time; the last group repeats its last sample.",
        )
    return Feeder(samples, tuple(spec.name for spec in model.inputs), fixed, padding_reader(model))


def fitting_rows(session: Executor, feeder: Feeder, reporter: Reporter) -> int:
    """How many rows to run at a time: found by running one, and then as many as the memory allows."""
    if feeder.fixed_batch is not None:
        return feeder.fixed_batch
    one = sum(map(_bytes, session.run(feeder.rows_of_exactly(1)).values()))
    rows = max(1, min(_MOST_ROWS, _BATCH_BYTES // max(one, 1)))
    if rows == 1:
        return 1
    try:
        session.run(feeder.rows_of_exactly(rows))
    except RuntimeRefused:
        reporter.warn("single_batch_only", "The model declares a free batch size but fails for more than one sample.")
        return 1
    return rows


def _bytes(output: object) -> int:
    """An output may be a sequence of tensors, or an optional one that is missing."""
    if isinstance(output, list):
        return sum(map(_bytes, output))
    return output.nbytes if isinstance(output, np.ndarray) else 0


def _fixed_batch(model: ModelInspection) -> int | None:
    extents = {spec.shape[0] for spec in model.inputs if isinstance(spec.shape[0], int)}
    if len(extents) > 1:
        raise refuse(
            "calibration_shape_mismatch",
            "The model's inputs differ in their fixed first extent.",
            hint="Export it with one batch size for all inputs, or with a free one.",
        )
    return next(iter(extents), None)
