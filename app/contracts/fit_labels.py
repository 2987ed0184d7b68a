"""Are the labels of a data set classes of the model? Answered where both inspections say enough."""

from app.contracts.fit_axes import Convention, fits, spelled
from app.contracts.fit_columns import stored_convention
from app.contracts.inspection import ColumnInspection, DatasetInspection, Dimension, ModelInspection, TensorSpec
from app.contracts.problem import Problem, problem, quoted

_LABELS = "labels"
_CLASS_AXES = {2, 3}
"""[samples, classes] and [samples, positions, classes]."""
_FROM_ZERO = "Classes are counted from 0, in the order of the model's outputs."

Shape = tuple[Dimension, ...]


def check_labels(model: ModelInspection, dataset: DatasetInspection) -> Problem | None:
    """The first label that no output stands for, or None."""
    if not dataset.has_labels:
        return None
    stored = stored_convention(model, dataset) if dataset.preparation is None else "rows"
    convention = "rows" if isinstance(stored, Problem) else stored
    output = _predictions(model, convention)
    if output is None:
        return None
    column = _label_column(model, dataset)
    found = _declared(model, dataset, output[-1])
    if found is not None or column is None:
        return found
    given = column.shape[1:] if convention == "rows" else tuple(extent for extent in column.shape[1:] if extent != 1)
    if fits(output[:-1], given) or given == (*output[:-1], 1):
        return _range(model, column, output[-1])
    return _one_hot(model, dataset, column, output, given)


def number_of_classes(model: ModelInspection) -> int | None:
    """The last extent of the output that is scored, which is the first float one; None where it is free."""
    predictions = _predictions(model, "rows")
    return predictions[-1] if predictions is not None and isinstance(predictions[-1], int) else None


def _predictions(model: ModelInspection, convention: Convention) -> Shape | None:
    """[..., classes] of the scored output for one sample; None where it holds no classes."""
    output = next((o for o in model.outputs if o.dtype.startswith(("float", "bfloat"))), None)
    if output is None or not output.shape or output.shape[-1] == 1:
        return None
    if convention == "rows":
        return output.shape[1:] if len(output.shape) in _CLASS_AXES else None
    return _of_one_whole_sample(output)


def _of_one_whole_sample(output: TensorSpec) -> Shape | None:
    """Without axes of a single element; those that are not known may have one, and say nothing."""
    before = output.shape[:-1]
    if any(isinstance(extent, str) for extent in before):
        return None
    kept = tuple(extent for extent in before if extent != 1)
    return (*kept, output.shape[-1]) if len(kept) + 2 in _CLASS_AXES else None


def _declared(model: ModelInspection, dataset: DatasetInspection, classes: Dimension) -> Problem | None:
    names = dataset.preparation.classes if dataset.preparation else None
    if names is None or isinstance(classes, str) or len(names) <= classes:
        return None
    detail = f"The preparation declares {len(names)} classes; the model has {classes}."
    return problem("labels_invalid", detail, hint=_known(model))


def _range(model: ModelInspection, column: ColumnInspection, classes: Dimension) -> Problem | None:
    if isinstance(classes, str) or column.max is None or column.max < classes:
        return None
    known = _known(model)
    if column.max == classes and column.min is not None and column.min >= 1:
        detail = f"The labels are {column.min:.0f} to {column.max:.0f}; the model has classes 0 to {classes - 1}."
        counted = f"{_FROM_ZERO} If yours are counted from 1, store labels - 1."
        return problem("labels_invalid", detail, entry=column.name, hint=f"{counted} {known}" if known else counted)
    detail = f"The label {column.max:.0f} does not exist: the model has classes 0 to {classes - 1}."
    return problem("labels_invalid", detail, entry=column.name, hint=known or _FROM_ZERO)


def _one_hot(
    model: ModelInspection, dataset: DatasetInspection, column: ColumnInspection, output: Shape, given: Shape
) -> Problem | None:
    if len(given) != len(output) or not fits(output[:-1], given[:-1]):
        return _misfit(column, output, given)
    if given[-1] == output[-1] or isinstance(output[-1], str):
        return None if dataset.labels_one_hot else _several(column)
    if not dataset.labels_one_hot:
        return _misfit(column, output, given)
    detail = f"The labels mark one of {given[-1]} classes in each row; the model has {output[-1]}."
    return problem("labels_invalid", detail, entry=column.name, hint=_known(model))


def _misfit(column: ColumnInspection, output: Shape, given: Shape) -> Problem:
    predicted = "one class" if len(output) == 1 else f"classes of shape {spelled(output[:-1])}"
    detail = f"A sample's labels have shape {spelled(given)}; the model predicts {predicted} for each sample."
    hint = f"Store one integer for each prediction: [{', '.join(['samples', *map(str, output[:-1])])}]."
    return problem("labels_length_mismatch", detail, entry=column.name, hint=hint)


def _several(column: ColumnInspection) -> Problem:
    detail = "Rows of the labels mark several classes, or none: a sample can have only one."
    hint = "Store the class of each sample as an integer from 0, or leave out the labels: agreement needs none."
    return problem("labels_invalid", detail, entry=column.name, hint=hint)


def _label_column(model: ModelInspection, dataset: DatasetInspection) -> ColumnInspection | None:
    """Of numbers; names are put in order by the worker."""
    preparation = dataset.preparation
    name = (preparation.label if preparation and preparation.kind == "text" else None) or _LABELS
    if any(spec.name == name for spec in model.inputs):
        return None
    return next((c for c in dataset.columns if c.name == name and c.dtype.startswith(("int", "uint", "float"))), None)


def _known(model: ModelInspection) -> str | None:
    if model.classes is None:
        return None
    return "The model's classes: " + ", ".join(quoted(name[:40]) for name in model.classes[:8]) + "."
