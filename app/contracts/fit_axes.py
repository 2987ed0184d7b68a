"""Which axis counts samples, and do the others fit?

Rows: the first axis of every input is the model's axis of samples, and any number of rows makes a batch. Whole: every
array has an axis before all of the input's own, and each sample is fed by itself. That is how data is stored for a
model whose first axis is something else, such as time, and it is right for any model.
"""

from collections.abc import Sequence
from typing import Literal

from app.contracts.inspection import ColumnInspection, Dimension, ModelInspection, TensorSpec
from app.contracts.problem import Problem, problem, quoted

Convention = Literal["rows", "whole"]
Pair = tuple[TensorSpec, ColumnInspection]
"""An input and the column that is fed to it."""


def convention(model: ModelInspection, pairs: Sequence[Pair]) -> Convention | Problem:
    """How the data is stored, on which all inputs must agree, or the first reason why it does not fit."""
    found = [_convention_of(*pair) for pair in pairs]
    for pair, way in zip(pairs, found, strict=True):
        if way is None:
            return _misfit(*pair)
    if len(set(found)) > 1:
        return _mixed(pairs[found.index("rows")], pairs[found.index("whole")])
    if "whole" in found:
        return "whole" if any(spec.shape for spec, _ in pairs) else _mixed(pairs[0], pairs[0])
    return _without_axis_of_samples(model, pairs) or "rows"


def fixed_batch(inputs: Sequence[TensorSpec]) -> int | None:
    """The number of rows that a model takes at a time, checked by `convention`; None if it takes any."""
    return next((spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], int)), None)


def fits(wanted: Sequence[Dimension], given: Sequence[Dimension]) -> bool:
    """A name stands for any extent."""
    return len(wanted) == len(given) and all(
        isinstance(w, str) or isinstance(g, str) or w == g for w, g in zip(wanted, given, strict=True)
    )


def spelled(shape: Sequence[Dimension]) -> str:
    return "[" + ", ".join(quoted(str(d)) for d in shape) + "]"


def _convention_of(spec: TensorSpec, column: ColumnInspection) -> Convention | None:
    if spec.shape and fits(spec.shape[1:], column.shape[1:]):
        return "rows"
    return "whole" if fits(spec.shape, column.shape[1:]) else None


def _without_axis_of_samples(model: ModelInspection, pairs: Sequence[Pair]) -> Problem | None:
    """Rows would be fed along the first axis: what speaks against its being one of samples?"""
    for spec, column in pairs:
        if spec.name in model.time_first and spec.shape[0] != 1:
            why = f"The first axis of the model's input {quoted(spec.name)} {spelled(spec.shape)} is time, not samples."
            return _refused(spec, why, _as_whole_inputs(spec, column))
    fixed = [pair for pair in pairs if isinstance(pair[0].shape[0], int)]
    if not fixed:
        return None
    spec, column = fixed[0]
    rows = spec.shape[0]
    for other, _ in fixed:
        if other.shape[0] != rows:
            why = (
                f"The model's inputs differ in their fixed first extent, {rows} in {quoted(spec.name)} and "
                f"{other.shape[0]} in {quoted(other.name)}: it is no axis of samples."
            )
            return _refused(other, why, _as_whole_inputs(spec, column))
    if any(_may_have_rows(output.shape, rows) for output in model.outputs) or not model.outputs:
        return None
    why = (
        f"The model has no axis for samples: {quoted(spec.name)} is {spelled(spec.shape)}, and no output has a row for "
        f"each of these {rows}."
    )
    return _refused(spec, why, _as_whole_inputs(spec, column))


def _may_have_rows(shape: Sequence[Dimension], rows: Dimension) -> bool:
    """Each sample may have several, and a shape that is not known may be any."""
    if not shape or not isinstance(shape[0], int) or not isinstance(rows, int):
        return True
    return shape[0] % rows == 0


def _mixed(rows: Pair, whole: Pair) -> Problem:
    (one, stored), (other, _) = rows, whole
    if not other.shape:
        why = f"The model's input {quoted(other.name)} is a single number, so it has no axis of samples."
        hint = "Export it with an axis for samples, or store all inputs whole. " + _as_whole_inputs(one, stored)
        return _refused(other, why, hint)
    why = f"{quoted(other.name)} has an axis of samples before all of the input's own, and {quoted(one.name)} has none."
    return _refused(one, why, "All inputs must be stored alike. " + _as_whole_inputs(one, stored))


def _misfit(spec: TensorSpec, column: ColumnInspection) -> Problem:
    why = f"{quoted(spec.name)} is {spelled(column.shape)} in the data; the model takes {spelled(spec.shape)}."
    return _refused(spec, why, _layout_hint(spec, column))


def _refused(spec: TensorSpec, detail: str, hint: str | None) -> Problem:
    return problem("calibration_shape_mismatch", detail, entry=spec.name, hint=hint)


def _layout_hint(spec: TensorSpec, column: ColumnInspection) -> str | None:
    """Images with their channels at the wrong end, and a forgotten axis, are the two usual reasons."""
    wanted, given = spec.shape[1:], column.shape[1:]
    if len(wanted) == len(given) == 3 and (turned := _channels_hint(wanted, given)):
        return turned
    if len(wanted) == len(given) + 1 and wanted[0] == 1:
        return "The axis of the single channel is missing: array[:, numpy.newaxis]."
    if len(wanted) == len(column.shape):
        return "The first axis counts samples: array[numpy.newaxis] makes one sample."
    if _squeezed(spec.shape) == _squeezed(given):
        return _as_whole_inputs(spec, column)
    return _first_axis_hint(spec) if len(given) == len(spec.shape) else None


def _first_axis_hint(spec: TensorSpec) -> str:
    """For data with an axis more than the model."""
    if not spec.shape:
        return "It is a single number, without an axis for samples: store one for each sample, as [samples]."
    whole = spelled(("samples", *spec.shape))
    return f"The first axis counts samples; with one axis more than the model's, the array must be {whole}."


def _channels_hint(wanted: Sequence[Dimension], given: Sequence[Dimension]) -> str | None:
    if fits(wanted, (given[2], given[0], given[1])):
        return "The channels are last in the data and first in the model: array.transpose(0, 3, 1, 2)."
    if fits(wanted, (given[1], given[2], given[0])):
        return "The channels are first in the data and last in the model: array.transpose(0, 2, 3, 1)."
    return None


def _as_whole_inputs(spec: TensorSpec, column: ColumnInspection) -> str:
    """What to store for a model without an axis of samples, and how the data at hand becomes that."""
    hint = f"Store one whole input for each sample: {spelled(('samples', *spec.shape))}."
    first = spec.shape[0] if spec.shape else None
    shape = ", ".join(str(extent) for extent in spec.shape)
    if all(isinstance(extent, int) for extent in spec.shape) and _squeezed(spec.shape) == _squeezed(column.shape[1:]):
        return f"{hint} With numpy: array.reshape(-1, {shape})."
    if isinstance(first, int) and first > 1 and fits(spec.shape[1:], column.shape[1:]) and column.shape[0] % first == 0:
        rest = ", ".join(str(extent) for extent in (first, *column.shape[1:]))
        return f"{hint} If each {first} rows in a row are one sample: array.reshape(-1, {rest})."
    return hint


def _squeezed(shape: Sequence[Dimension]) -> tuple[Dimension, ...]:
    return tuple(extent for extent in shape if extent != 1)
