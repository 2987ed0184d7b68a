"""Rows of a data set as the batches a model takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from app.contracts.fit_axes import Convention, fixed_batch
from app.contracts.inspection import ModelInspection
from workers.ingestion.data.samples import LABELS, Batch, Samples
from workers.pipeline.feeding.fitting import refuse_misfit
from workers.pipeline.feeding.index_limits import refuse_beyond
from workers.pipeline.feeding.padding import PaddingReader, padding_reader
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import Executor, RuntimeRefused

_MOST_ROWS = 8
_LABELS_AT_A_TIME = 1024
_BATCH_BYTES = 64 << 20
"""What the outputs of one batch may take: with all tensors observed, that is what calibration keeps in memory."""


@dataclass(frozen=True)
class Fed:
    """One batch. Rows beyond `rows` repeat the last sample, to fill a model's fixed batch."""

    feeds: Batch
    rows: int
    labels: npt.NDArray[np.generic] | None
    whole: bool = False
    """The feeds are one sample, without an axis that counts any."""

    def per_sample(self, answer: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[samples, ...] of an answer to these feeds, without the rows that only fill a fixed batch.

        Of one whole sample, axes of a single element before the last are dropped: [1, 5] -> [1, 5], [20, 1, 5] ->
        [1, 20, 5]. An answer whose first axis is not the batch stays as it is.
        """
        if self.whole:
            return one_sample(answer)
        filled = len(next(iter(self.feeds.values())))
        return answer[: self.rows] if answer.ndim and answer.shape[0] == filled else answer


@dataclass(frozen=True)
class Feeder:
    """Cuts a data set into batches for one model."""

    samples: Samples
    inputs: tuple[str, ...]
    fixed_batch: int | None
    padding: PaddingReader
    limits: Mapping[str, int] = field(default_factory=dict)
    """How many rows the tables have that inputs index."""
    convention: Convention = "rows"
    """With `whole`, each sample is fed by itself, as it is."""

    @property
    def has_labels(self) -> bool:
        return any(c.name == LABELS for c in self.samples.columns)

    def batches(self, rows: int, *, limit: int | None = None) -> Iterator[Fed]:
        if self.convention == "whole":
            yield from self._whole_samples(limit)
            return
        rows = self.fixed_batch or rows
        for batch in self.samples.batches(rows, names=(*self.inputs, LABELS), limit=limit):
            refuse_beyond(self.limits, batch)
            labels = None if LABELS in self.inputs else batch.pop(LABELS, None)
            count = len(next(iter(batch.values())))
            yield Fed(self._filled(batch, count), count, labels)

    def first(self) -> Fed:
        """As few samples as the model takes."""
        rows = self.fixed_batch or 1
        return Fed(self.rows_of_exactly(rows), rows, None, whole=self.convention == "whole")

    def labels(self) -> Iterator[npt.NDArray[np.generic]]:
        """All of them, some at a time; nothing where there are none."""
        if self.has_labels and LABELS not in self.inputs:
            for batch in self.samples.batches(_LABELS_AT_A_TIME, names=(LABELS,)):
                yield _labels_of_whole(batch[LABELS]) if self.convention == "whole" else batch[LABELS]

    def rows_of_exactly(self, rows: int) -> Batch:
        """The first samples, from the beginning again where there are too few; of whole ones, the first."""
        if self.convention == "whole":
            return next(self._whole_samples(1)).feeds
        first = next(self.samples.batches(rows, names=self.inputs))
        refuse_beyond(self.limits, first)
        # [given, ...] -> [rows, ...]
        return {name: np.resize(array, (rows, *array.shape[1:])) for name, array in first.items()}

    def _whole_samples(self, limit: int | None) -> Iterator[Fed]:
        for batch in self.samples.batches(1, names=(*self.inputs, LABELS), limit=limit):
            refuse_beyond(self.limits, batch)
            labels = None if LABELS in self.inputs else batch.pop(LABELS, None)
            feeds = {name: np.asarray(array[0]) for name, array in batch.items()}
            yield Fed(feeds, 1, None if labels is None else _labels_of_whole(labels), whole=True)

    def _filled(self, batch: Batch, count: int) -> Batch:
        if self.fixed_batch is None or count == self.fixed_batch:
            return batch
        missing = self.fixed_batch - count
        return {name: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for name, a in batch.items()}


def feeder_for(model: ModelInspection, samples: Samples, reporter: Reporter) -> Feeder:
    """Raises ProblemFound when the data does not fit."""
    convention = refuse_misfit(model, samples)
    fixed = 1 if convention == "whole" else fixed_batch(model.inputs)
    if fixed is not None and samples.num_samples % fixed:
        reporter.warn(
            "last_batch_padded",
            f"The model takes exactly {fixed} samples at a time; the last group repeats its last sample.",
        )
    inputs = tuple(spec.name for spec in model.inputs)
    return Feeder(samples, inputs, fixed, padding_reader(model), convention=convention)


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


def one_sample(answer: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[1, ..., last] of a model's answer to one whole sample."""
    kept = [extent for extent in answer.shape[:-1] if extent != 1]
    return answer.reshape(1, *kept, *answer.shape[-1:])


def _labels_of_whole(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """[samples, ...], likewise without axes of a single element."""
    return labels.reshape(len(labels), *(extent for extent in labels.shape[1:] if extent != 1))
