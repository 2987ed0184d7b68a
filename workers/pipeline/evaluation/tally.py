"""What is counted of one candidate against the float model. Counts add up, over batches and over slices of the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from workers.pipeline.evaluation.channel_sqnr import ChannelSqnr
from workers.pipeline.feeding.class_labels import class_labels, holds_classes
from workers.quantization.error_metrics import SqnrAccumulator

Array = npt.NDArray[Any]
Answers = Mapping[str, Array]
"""By output."""

_PER_SAMPLE = 2  # axes: [samples, classes]


class Tally(Protocol):
    """Another metric is another tally: a judge hands it answers, and asks for nothing else."""

    @property
    def samples(self) -> int:
        """How many it has seen."""

    def observe(self, expected: Answers, actual: Answers, labels: Array | None, *, samples: int) -> None:
        """The answers to so many: the float model's, the candidate's, and what is right, where that is known."""


@dataclass
class OutputTally:
    """The noise of one output, and what of it could not be compared."""

    values: int = 0
    """Of the float model's answers."""
    nonfinite: int = 0
    """Of these, neither finite nor compared: a mask written into the output, or an answer that is none."""
    lost: int = 0
    """Not finite in the candidate's answers alone."""
    misshapen: int = 0
    """Samples to which the candidate gave answers of another shape: they are not compared."""
    sqnr: SqnrAccumulator = field(default_factory=SqnrAccumulator)
    channels: ChannelSqnr = field(default_factory=ChannelSqnr)

    def observe(self, expected: Array, actual: Array, *, samples: int) -> bool:
        """False if the answers cannot be held against each other."""
        self.values += expected.size
        finite = np.isfinite(expected)
        self.nonfinite += int(expected.size - finite.sum())
        if expected.shape != actual.shape:
            self.misshapen += samples
            return False
        self.lost += int((finite & ~np.isfinite(actual)).sum())
        self.sqnr.observe(expected, actual)
        self.channels.observe(expected, actual)
        return True

    @property
    def is_compared(self) -> bool:
        """That there is a figure, or that there is none because all is equal."""
        return self.values > self.nonfinite and not self.misshapen


@dataclass
class TopOneTally:
    """Top-1 classes of one output, and the noise of all. A prediction is one row of classes."""

    output: str
    """The one that holds classes, if any does."""
    positions_are_predictions: bool = False
    """Who knows that [samples, positions, classes] are no boxes needs no labels to say it."""
    samples: int = 0
    predictions: int = 0
    """That were compared; 0 when the output holds no classes."""
    labelled: int = 0
    """Predictions that have a label."""
    float_correct: int = 0
    correct: int = 0
    gained: int = 0
    """Right where the float model is wrong."""
    lost: int = 0
    agreeing: int = 0
    outputs: dict[str, OutputTally] = field(default_factory=dict)
    """Of every output that was handed in, in the model's order."""

    @property
    def sqnr(self) -> SqnrAccumulator:
        return self.outputs.setdefault(self.output, OutputTally()).sqnr

    def observe(self, expected: Answers, actual: Answers, labels: Array | None, *, samples: int) -> None:
        """expected, actual: [samples, ..], or whatever shape an output has; labels: see `class_labels`.

        Raises ProblemFound when the labels do not fit what the model predicts.
        """
        self.samples += samples
        comparable = {
            name: self.outputs.setdefault(name, OutputTally()).observe(array, actual[name], samples=samples)
            for name, array in expected.items()
        }
        is_known = labels is not None or self.positions_are_predictions
        if comparable[self.output] and _are_predictions(expected[self.output], is_known=is_known, samples=samples):
            self._predict(expected[self.output], actual[self.output], labels)

    def _predict(self, expected: Array, actual: Array, labels: Array | None) -> None:
        """A row that the float model does not answer with numbers is no prediction."""
        answered = np.isfinite(expected).any(axis=-1) & ~np.isnan(expected).any(axis=-1)
        float_top, top = expected.argmax(axis=-1), actual.argmax(axis=-1)
        self.predictions += int(answered.sum())
        self.agreeing += int((answered & (top == float_top)).sum())
        if labels is not None:
            right = class_labels(labels, expected)
            self._score(float_top == right, top == right)

    def _score(self, float_right: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> None:
        self.labelled += float_right.size
        self.float_correct += int(float_right.sum())
        self.correct += int(right.sum())
        self.gained += int((right & ~float_right).sum())
        self.lost += int((~right & float_right).sum())


def _are_predictions(output: Array, *, is_known: bool, samples: int) -> bool:
    """[samples, classes]; and [samples, positions, classes] where it is known to be that: it could be boxes."""
    return holds_classes(output, samples=samples) and (output.ndim == _PER_SAMPLE or is_known)
