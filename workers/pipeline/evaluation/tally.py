"""What is counted of one candidate against the float model. Counts add up, over batches and over slices of the data."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from workers.pipeline.feeding.class_labels import class_labels, holds_classes
from workers.quantization.error_metrics import SqnrAccumulator

Array = npt.NDArray[Any]


class Tally(Protocol):
    """Another metric is another tally: a judge hands it answers, and asks for nothing else."""

    @property
    def samples(self) -> int:
        """How many it has seen."""

    def observe(self, expected: Array, actual: Array, labels: Array | None, *, samples: int) -> None:
        """The answers to so many: the float model's, the candidate's, and what is right, where that is known."""


@dataclass
class TopOneTally:
    """Top-1 classes and the noise of one output. A prediction is one row of classes."""

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
    sqnr: SqnrAccumulator = field(default_factory=SqnrAccumulator)

    def observe(self, expected: Array, actual: Array, labels: Array | None, *, samples: int) -> None:
        """expected, actual: [samples, ..], or whatever shape the output has; labels: see `class_labels`.

        Raises ProblemFound when the labels do not fit what the model predicts.
        """
        self.samples += samples
        self.sqnr.observe(expected, actual)
        if not holds_classes(expected, samples=samples):
            return
        float_top, top = expected.argmax(axis=-1), actual.argmax(axis=-1)
        self.predictions += float_top.size
        self.agreeing += int((top == float_top).sum())
        if labels is not None:
            right = class_labels(labels, expected)
            self._score(float_top == right, top == right)

    def _score(self, float_right: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> None:
        self.labelled += float_right.size
        self.float_correct += int(float_right.sum())
        self.correct += int(right.sum())
        self.gained += int((right & ~float_right).sum())
        self.lost += int((~right & float_right).sum())
