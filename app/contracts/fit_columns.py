"""Do columns that are the model's inputs already fit it?

Every input needs a column of its name, element type and extents (`fit_axes`). Columns that are no input are ignored:
they may serve another model.
"""

from collections.abc import Sequence

from app.contracts.fit_axes import Convention, Pair, convention
from app.contracts.formats import DatasetFormat
from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection, TensorSpec
from app.contracts.problem import Problem, problem, quoted

TEXT = "string"
"""The element type of a column of texts."""
_LABELS = "labels"

_DIGITS: frozenset[DatasetFormat] = frozenset({"jsonl", "csv"})
"""Formats whose numbers are written as digits: they take the element type that the model asks for."""
_BECOMES = {"int64": ("int", "uint", "float"), "float64": ("float",)}
"""What whole numbers and others can become; nothing is rounded to a whole number."""
_NOT_ROUNDED = "Write whole numbers where the model takes integers: nothing is rounded, and true is no number."


def check_columns(model: ModelInspection, dataset: DatasetInspection) -> Problem | None:
    found = stored_convention(model, dataset)
    return found if isinstance(found, Problem) else None


def stored_convention(model: ModelInspection, dataset: DatasetInspection) -> Convention | Problem:
    """How samples are stored, or the first reason why they do not fit."""
    columns = {c.name: c for c in dataset.columns}
    written = dataset.format in _DIGITS
    pairs: list[Pair] = []
    for spec in model.inputs:
        column = columns.get(spec.name)
        if column is None:
            return _missing(spec, dataset)
        found = _dtype(spec, column, written=written)
        if found is not None:
            return found
        pairs.append((spec, column))
    return _uneven(pairs, columns) or convention(model, pairs)


def _uneven(pairs: Sequence[Pair], columns: dict[str, ColumnInspection]) -> Problem | None:
    """Inputs, and labels where those are no input, have as many samples as each other."""
    if not pairs:
        return None
    first = pairs[0][1]
    samples = first.shape[0]
    for _, column in pairs:
        if column.shape[0] != samples:
            detail = f"It has {column.shape[0]} samples where {quoted(first.name)} has {samples}."
            hint = "Store one row of every array for each sample."
            return problem("calibration_shape_mismatch", detail, entry=column.name, hint=hint)
    labels = columns.get(_LABELS, first)
    if labels.shape[0] != samples:
        detail = f"There are {labels.shape[0]} labels for {samples} samples."
        return problem("labels_length_mismatch", detail, entry=_LABELS)
    return None


def _missing(spec: TensorSpec, dataset: DatasetInspection) -> Problem:
    unusable = next((one for one in dataset.left_out if one.name == spec.name), None)
    if unusable is not None:
        return problem(unusable.code, unusable.detail, entry=spec.name, hint=unusable.hint)
    text = next((c.name for c in dataset.columns if c.dtype == TEXT), None)
    if text is not None:
        return problem(
            "preparation_missing",
            f"The model's input {quoted(spec.name)} has no column, and nothing says what {quoted(text)} is.",
            entry=spec.name,
            hint=f'Create the data set with "preparation": {{"kind": "text", "text": "{quoted(text)}"}}.',
        )
    present = ", ".join(quoted(c.name) for c in dataset.columns[:8])
    return problem(
        "calibration_input_missing",
        f"The model's input {quoted(spec.name)} has no array in the data set, which holds: {present}.",
        entry=spec.name,
        hint=f"Save it under the input's name: numpy.savez(path, **{{{quoted(spec.name)!r}: array}}).",
    )


def _dtype(spec: TensorSpec, column: ColumnInspection, *, written: bool) -> Problem | None:
    if spec.dtype == column.dtype or (written and spec.dtype.startswith(_BECOMES.get(column.dtype, ()))):
        return None
    return problem(
        "calibration_dtype_mismatch",
        f"{quoted(spec.name)} is {column.dtype} in the data and {spec.dtype} in the model.",
        entry=spec.name,
        hint=_NOT_ROUNDED if written else f"Convert it before saving: array.astype('{spec.dtype}').",
    )
