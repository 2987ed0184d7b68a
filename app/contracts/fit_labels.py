"""Are the labels of a data set classes of the model? Answered where both inspections say enough."""

from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection
from app.contracts.problem import Problem, problem, quoted

_LABELS = "labels"
_CLASS_AXES = {2, 3}
"""[samples, classes] and [samples, positions, classes]."""


def check_labels(model: ModelInspection, dataset: DatasetInspection) -> Problem | None:
    """The first label that no output stands for, or None."""
    classes = number_of_classes(model)
    if classes is None or not dataset.has_labels:
        return None
    declared = dataset.preparation.classes if dataset.preparation else None
    if declared is not None and len(declared) > classes:
        detail = f"The preparation declares {len(declared)} classes; the model has {classes}."
        return problem("labels_invalid", detail, hint=_known(model))
    column = _label_column(model, dataset)
    if column is not None and column.max is not None and column.max >= classes:
        detail = f"The label {column.max:.0f} does not exist: the model has classes 0 to {classes - 1}."
        return problem("labels_invalid", detail, entry=column.name, hint=_known(model))
    return None


def number_of_classes(model: ModelInspection) -> int | None:
    """The last extent of the output that is scored, which is the first float one; None where it is free."""
    output = next((o for o in model.outputs if o.dtype.startswith(("float", "bfloat"))), None)
    if output is None or len(output.shape) not in _CLASS_AXES:
        return None
    last = output.shape[-1]
    return last if isinstance(last, int) and last > 1 else None


def _label_column(model: ModelInspection, dataset: DatasetInspection) -> ColumnInspection | None:
    """Of integers; names are put in order by the worker."""
    preparation = dataset.preparation
    name = (preparation.label if preparation and preparation.kind == "text" else None) or _LABELS
    if any(spec.name == name for spec in model.inputs):
        return None
    return next((c for c in dataset.columns if c.name == name and c.dtype.startswith(("int", "uint"))), None)


def _known(model: ModelInspection) -> str | None:
    if model.classes is None:
        return None
    return "The model's classes: " + ", ".join(quoted(name[:40]) for name in model.classes[:8]) + "."
