"""Do columns that are the model's inputs already fit it?

Every input needs a column of its name, element type and extents; axis 0 counts samples, so it is free. Columns that
are no input are ignored: they may serve another model.
"""

from app.contracts.formats import DatasetFormat
from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection, TensorSpec
from app.contracts.problem import Problem, problem, quoted

TEXT = "string"
"""The element type of a column of texts."""

_DIGITS: frozenset[DatasetFormat] = frozenset({"jsonl", "csv"})
"""Formats whose numbers are written as digits: they take the element type that the model asks for."""
_BECOMES = {"int64": ("int", "uint", "float"), "float64": ("float",)}
"""What whole numbers and others can become; nothing is rounded to a whole number."""
_NOT_ROUNDED = "Write whole numbers where the model takes integers: nothing is rounded, and true is no number."


def check_columns(model: ModelInspection, dataset: DatasetInspection) -> Problem | None:
    columns = {c.name: c for c in dataset.columns}
    written = dataset.format in _DIGITS
    for spec in model.inputs:
        column = columns.get(spec.name)
        if column is None:
            return _missing(spec, dataset)
        found = _dtype(spec, column, written=written) or _shape(spec, column)
        if found is not None:
            return found
    return None


def _missing(spec: TensorSpec, dataset: DatasetInspection) -> Problem:
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


def _shape(spec: TensorSpec, column: ColumnInspection) -> Problem | None:
    if not spec.shape:
        detail = f"The model's input {quoted(spec.name)} is a single number, so it has no axis of samples."
        return problem(
            "calibration_shape_mismatch", detail, entry=spec.name, hint="Export it with an axis for samples."
        )
    fits = len(spec.shape) == len(column.shape) and all(
        isinstance(wanted, str) or wanted == given
        for wanted, given in zip(spec.shape[1:], column.shape[1:], strict=True)
    )
    if fits:
        return None
    return problem(
        "calibration_shape_mismatch",
        f"{quoted(spec.name)} is {_spelled(column.shape)} in the data; the model takes {_spelled(spec.shape)}.",
        entry=spec.name,
        hint=_layout_hint(spec, column),
    )


def _layout_hint(spec: TensorSpec, column: ColumnInspection) -> str | None:
    """Images with their channels at the wrong end, and a forgotten axis, are the two usual reasons."""
    wanted, given = spec.shape[1:], column.shape[1:]
    if len(wanted) == len(given) == 3:
        if _agrees(wanted, (given[2], given[0], given[1])):
            return "The channels are last in the data and first in the model: array.transpose(0, 3, 1, 2)."
        if _agrees(wanted, (given[1], given[2], given[0])):
            return "The channels are first in the data and last in the model: array.transpose(0, 2, 3, 1)."
    if len(wanted) == len(given) + 1 and wanted[0] == 1:
        return "The axis of the single channel is missing: array[:, numpy.newaxis]."
    if len(wanted) == len(column.shape):
        return "The first axis counts samples: array[numpy.newaxis] makes one sample."
    return None


def _agrees(wanted: tuple[int | str, ...], given: tuple[int, ...]) -> bool:
    return all(isinstance(w, str) or w == g for w, g in zip(wanted, given, strict=True))


def _spelled(shape: tuple[int | str, ...]) -> str:
    return "[" + ", ".join(quoted(str(d)) for d in shape) + "]"
