"""Labels as the classes that a model's answer holds, whichever way they are stored."""

from typing import Any

import numpy.typing as npt

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.data.samples import LABELS

Array = npt.NDArray[Any]


def holds_classes(answer: Array, *, samples: int) -> bool:
    """[samples, classes] or [samples, positions, classes]."""
    return answer.ndim in {2, 3} and answer.shape[0] == samples and answer.shape[-1] > 1


def class_labels(labels: Array, answer: Array) -> Array:
    """Integers of the answer's shape without its last axis, the classes.

    labels: one for each prediction, also as a column ([..., 1]) or one-hot ([..., classes]). Raises ProblemFound for
    what is neither, and for classes that the model does not have.
    """
    wanted, classes = answer.shape[:-1], answer.shape[-1]
    if labels.shape == (*wanted, 1):
        labels = labels[..., 0]
    elif labels.shape == answer.shape:
        labels = _marked(labels)
    if labels.shape != wanted:
        detail = f"A sample's labels have shape {list(labels.shape[1:])}; the model predicts {list(wanted[1:])}."
        raise refuse("labels_length_mismatch", detail, entry=LABELS)
    if labels.dtype.kind not in "iub":
        raise _invalid(f"The labels are {labels.dtype}, not integers.")
    lowest, highest = int(labels.min()), int(labels.max())
    if not 0 <= lowest <= highest < classes:
        wrong = lowest if lowest < 0 else highest
        raise _invalid(f"The label {wrong} does not exist: the model has classes 0 to {classes - 1}.")
    return labels


def _marked(labels: Array) -> Array:
    """[..., classes] -> [...]: the place of the only 1."""
    ones = labels == 1
    if not ((labels == 0) | ones).all() or not (ones.sum(axis=-1) == 1).all():
        raise _invalid("Rows of the labels mark several classes, or none: a sample can have only one.")
    places: Array = ones.argmax(axis=-1)
    return places


def _invalid(detail: str) -> ProblemFound:
    return refuse("labels_invalid", detail, entry=LABELS)
