"""Can the column `labels` be classes of any model? Texts with a preparation have their labels looked at elsewhere."""

import numpy as np

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.data.samples import LABELS, PLACES_OF_NAMES, SampleColumn
from workers.ingestion.data.table import TEXT, Table, column_of
from workers.ingestion.data.text_labels import label_values
from workers.pipeline.inspection.column_statistics import ColumnStatistics
from workers.protocol.reporter import Reporter

_AS_INTEGERS = "Store them as integers: labels.astype('int64')."
_NO_CLASSES = (
    "Store integers from 0. Scores are no classes: under another name than `labels` they are left alone, and the "
    "outputs are compared by their signal-to-noise ratio."
)
_FROM_ZERO = (
    "Classes are counted from 0, in the order of the model's outputs. Leave out samples without a class, or the labels."
)


def refuse_labels_of_other_kinds(table: Table) -> None:
    """Raises ProblemFound for what no value could mend."""
    labels = column_of(table, LABELS)
    if labels is not None and labels.dtype in {TEXT, "bool"}:
        text = labels.dtype == TEXT
        what = "texts" if text else labels.dtype
        raise _invalid(f"The labels are {what}, not integers.", PLACES_OF_NAMES if text else _AS_INTEGERS)


def one_hot_labels(table: Table, found: ColumnStatistics, reporter: Reporter) -> bool:
    """Whether each row marks one class by a 1. Raises ProblemFound for labels that are neither that nor integers."""
    if _may_be_one_hot(found) and _marks_one_each(table):
        detail = "Each row of the labels has a single 1: where a model predicts one class for it, that is its place."
        reporter.warn("one_hot_labels", detail)
        return True
    if found.column.dtype.startswith("float"):
        _refuse_fractions(table, found.column)
    if found.low < 0:
        raise _invalid(f"The smallest label is {found.low:.0f}.", _FROM_ZERO)
    return False


def _may_be_one_hot(found: ColumnStatistics) -> bool:
    shape = found.column.shape
    return len(shape) > 1 and shape[-1] != 1 and (found.low, found.high) == (0, 1)


def _marks_one_each(table: Table) -> bool:
    for _, labels in label_values(table, LABELS):
        ones = labels == 1
        if not bool(((labels == 0) | ones).all()) or not bool((ones.sum(axis=-1) == 1).all()):
            return False
    return True


def _refuse_fractions(table: Table, column: SampleColumn) -> None:
    for row, labels in label_values(table, LABELS):
        fractions = np.argwhere(labels != np.floor(labels.astype(np.float64)))
        if len(fractions):
            place = tuple(fractions[0])
            detail = f"The labels are {column.dtype} with fractions: {table.place(row + int(place[0]))} has "
            raise _invalid(f"{detail}{float(labels[place]):g}.", _NO_CLASSES)
    raise _invalid(f"The labels are {column.dtype}, not integers.", _AS_INTEGERS)


def _invalid(detail: str, hint: str) -> ProblemFound:
    return refuse("labels_invalid", detail, entry=LABELS, hint=hint)
