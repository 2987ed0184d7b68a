"""Classes of texts as integers: they are integers already, or names that somebody put in order."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.contracts.problem import quoted, refuse
from workers.ingestion.data.samples import SampleColumn
from workers.ingestion.data.table import TEXT, Table, rows_at_a_time

_MAX_CLASSES = 10_000
_PLACEHOLDER = re.compile(r"LABEL_[0-9]+")
"""What transformers calls a class that nobody named."""
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)

Warn = Callable[[str, str], None]


@dataclass(frozen=True)
class TextLabels:
    source: Table
    column: str
    names: bool
    """The column holds names."""
    classes: dict[str, int] = field(default_factory=dict)
    """Name to index; empty for integers that nobody named."""

    def indices(self, values: npt.NDArray[np.generic], first_row: int) -> npt.NDArray[np.int64]:
        """Raises ProblemFound for the first label that is no class."""
        if self.names:
            return np.array([self._index(str(v), first_row + i) for i, v in enumerate(values)], np.int64)
        found = values.astype(np.int64)
        most = len(self.classes) or None
        wrong = np.flatnonzero((found < 0) | (found >= most if most else False))
        if wrong.size:
            row = int(wrong[0])
            allowed = f"0 to {most - 1}" if most else "0 and more"
            self._refuse(first_row + row, f"The label is {int(found[row])}; classes are {allowed}.", None)
        return found

    def _index(self, name: str, row: int) -> int:
        if name not in self.classes:
            known = ", ".join(quoted(c[:40]) for c in list(self.classes)[:8])
            hint = 'Declare all names in the order of the outputs: "preparation": {"classes": [...]}.'
            self._refuse(row, f"The label {quoted(name[:80])} is none of the classes: {known}.", hint)
        return self.classes[name]

    def _refuse(self, row: int, detail: str, hint: str | None) -> None:
        place = self.source.place(row)
        raise refuse("labels_invalid", f"{place}: {detail}", entry=place.lower(), hint=hint)


def text_labels(
    source: Table, column: str, *, declared: Iterable[str] | None, of_model: Iterable[str] | None, warn: Warn
) -> TextLabels:
    """`declared` classes come before the model's own; without either, names are put in alphabetical order."""
    if _stored(source, column).dtype != TEXT:
        return TextLabels(source, column, names=False, classes=_numbered(declared or ()))
    named = declared or _meaningful(of_model)
    if named is not None:
        return TextLabels(source, column, names=True, classes=_numbered(named))
    return TextLabels(source, column, names=True, classes=_ordered(_distinct(source, column), of_model or (), warn))


def _stored(source: Table, column: str) -> SampleColumn:
    found = next(c for c in source.columns if c.name == column)
    if len(found.shape) > 1 or not found.dtype.startswith(("int", "uint", "bool", TEXT)):
        detail = f"The labels are {found.dtype} of shape {list(found.shape)}, not integers or names, one a sample."
        raise refuse("labels_invalid", detail, entry=column)
    return found


def _ordered(names: list[str], of_model: Iterable[str], warn: Warn) -> dict[str, int]:
    placeholders = _numbered(of_model)
    if placeholders.keys() >= set(names):
        return placeholders
    if all(_DIGITS.fullmatch(name) for name in names):
        return {name: int(name) for name in names}
    order = ", ".join(quoted(name[:40]) for name in names[:8])
    detail = f"No order of the classes is declared; where the model names none, it is alphabetical: {order}."
    warn("classes_in_alphabetical_order", detail)
    return _numbered(names)


def label_values(source: Table, column: str) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    """All labels as they are stored, with the row that each batch begins in."""
    row = 0
    for batch in source.batches(rows_at_a_time(source.row_bytes), names=(column,)):
        yield row, batch[column]
        row += len(batch[column])


def _meaningful(names: Iterable[str] | None) -> tuple[str, ...] | None:
    found = tuple(names or ())
    return None if not found or all(_PLACEHOLDER.fullmatch(name) for name in found) else found


def _distinct(source: Table, column: str) -> list[str]:
    names: set[str] = set()
    for _, values in label_values(source, column):
        names.update(str(v) for v in values)
        if len(names) > _MAX_CLASSES:
            raise refuse("labels_invalid", f"There are more than {_MAX_CLASSES} different labels.", entry=column)
    return sorted(names)


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(names)}
