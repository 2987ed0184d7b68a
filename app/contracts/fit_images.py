"""Which input of a model takes the images, and do they fit it?"""

from collections.abc import Sequence

from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import Problem, problem, quoted

_ELEMENT_TYPES = frozenset({"float32", "float16", "float64", "uint8"})
_BATCH_OF_IMAGES = 4
"""Axes."""
_PLACES = {"NCHW": (1, 2, 3), "NHWC": (3, 1, 2)}
"""The axes of channels, height and width."""
_USUAL_EXTENT = 224
_SHOWN = 8


def check_images(model: ModelInspection, preparation: ImagePreparation) -> Problem | None:
    found = image_input(model, preparation)
    return found if isinstance(found, Problem) else None


def image_input(model: ModelInspection, preparation: ImagePreparation) -> TensorSpec | Problem:
    """The input that takes the images, or why there is none."""
    spec = _only_one(model) if preparation.input is None else _named(model, preparation.input)
    if isinstance(spec, Problem):
        return spec
    others = [other.name for other in model.inputs if other.name != spec.name]
    if others:
        return problem(
            "calibration_input_missing",
            f"The model's input {quoted(others[0])} cannot be made from images.",
            entry=others[0],
            hint="Store all inputs as arrays instead: numpy.savez(path, name=array).",
        )
    return _dtype(spec) or _shape(spec, preparation) or spec


def without_preparation(model: ModelInspection) -> Problem:
    """Images have many sizes, and models one."""
    spec = _only_one(model)
    height, width = (_USUAL_EXTENT, _USUAL_EXTENT) if isinstance(spec, Problem) else _extents(spec)
    return problem(
        "preparation_missing",
        "The data set is images, and neither it nor the model says what size and values they are to have.",
        hint=f'Create the data set with "preparation": {{"kind": "image", "height": {height}, "width": {width}}}.',
    )


def _named(model: ModelInspection, name: str) -> TensorSpec | Problem:
    spec = next((s for s in model.inputs if s.name == name), None)
    return spec or problem(
        "preparation_invalid",
        f"The preparation names the input {quoted(name)}, which the model does not have.",
        hint=f"The model's inputs are: {_listed(model.inputs)}.",
    )


def _only_one(model: ModelInspection) -> TensorSpec | Problem:
    candidates = [s for s in model.inputs if len(s.shape) == _BATCH_OF_IMAGES and s.dtype in _ELEMENT_TYPES]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        detail = "Several inputs of the model could take the images."
        return problem("preparation_invalid", detail, hint=f"Name one as `input`: {_listed(candidates)}.")
    return problem(
        "calibration_shape_mismatch",
        "The model has no input with four axes, so it does not take images.",
        hint=f"The model's inputs are: {_listed(model.inputs)}.",
    )


def _dtype(spec: TensorSpec) -> Problem | None:
    if spec.dtype in _ELEMENT_TYPES:
        return None
    detail = f"{quoted(spec.name)} is {quoted(spec.dtype)} in the model; images become floats or uint8."
    hint = "Store the inputs as arrays instead: numpy.savez(path, name=array)."
    return problem("calibration_dtype_mismatch", detail, entry=spec.name, hint=hint)


def _shape(spec: TensorSpec, preparation: ImagePreparation) -> Problem | None:
    if len(spec.shape) != _BATCH_OF_IMAGES:
        return _misfit(spec, "is not a batch of images: those have four axes", None)
    channels = 1 if preparation.channels == "L" else 3
    size = (preparation.height, preparation.width)
    first, last = (channels, *size), (*size, channels)
    given, other, layout = (first, last, "NHWC") if preparation.layout == "NCHW" else (last, first, "NCHW")
    if _agrees(spec, given):
        return None
    reason = f"takes {_spelled(spec)}; the prepared images are {list(given)}"
    return _misfit(spec, reason, f"Set layout to {layout}." if _agrees(spec, other) else _advice(spec, preparation))


def _advice(spec: TensorSpec, preparation: ImagePreparation) -> str:
    """What the model's fixed extents would have the preparation say."""
    channels, height, width = (spec.shape[axis] for axis in _PLACES[preparation.layout])
    if isinstance(channels, int) and channels not in {1, 3}:
        other = "NHWC" if preparation.layout == "NCHW" else "NCHW"
        if spec.shape[_PLACES[other][0]] in {1, 3}:
            return f"Set layout to {other}, and height and width to the model's."
        return f"The model takes {channels} channels; images have 1 or 3."
    extents = {"height": height, "width": width}
    wanted = [f"{name} to {extent}" for name, extent in extents.items() if isinstance(extent, int)]
    if isinstance(channels, int):
        wanted.append("channels to L" if channels == 1 else "channels to RGB or BGR")
    return f"Set {', '.join(wanted)}."


def _extents(spec: TensorSpec) -> tuple[int, int]:
    """Height and width that the model asks for, or the usual ones."""
    layout = "NHWC" if spec.shape[3] in {1, 3} and spec.shape[1] not in {1, 3} else "NCHW"
    _, height, width = (spec.shape[axis] for axis in _PLACES[layout])
    return (
        height if isinstance(height, int) else _USUAL_EXTENT,
        width if isinstance(width, int) else _USUAL_EXTENT,
    )


def _agrees(spec: TensorSpec, sample: tuple[int, ...]) -> bool:
    return all(isinstance(wanted, str) or wanted == given for wanted, given in zip(spec.shape[1:], sample, strict=True))


def _misfit(spec: TensorSpec, reason: str, hint: str | None) -> Problem:
    detail = f"The model's input {quoted(spec.name)} {reason}."
    return problem("calibration_shape_mismatch", detail, entry=spec.name, hint=hint)


def _listed(specs: Sequence[TensorSpec]) -> str:
    shown = ", ".join(f"{quoted(spec.name)} {_spelled(spec)}" for spec in specs[:_SHOWN])
    return shown + (", ..." if len(specs) > _SHOWN else "")


def _spelled(spec: TensorSpec) -> str:
    return "[" + ", ".join(quoted(str(extent)) for extent in spec.shape) + "]"
