"""Can a model's inputs be filled by tokenizing texts?"""

from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import TextPreparation
from app.contracts.problem import Problem, problem, quoted

_INTEGERS = ("int64", "int32", "int16", "uint8", "uint16", "uint32", "uint64")
_OF_MASKS = (*_INTEGERS, "int8", "bool", "float16", "float32", "float64")

FILLED = {
    "input_ids": _INTEGERS,
    "attention_mask": _OF_MASKS,
    "token_type_ids": _INTEGERS,
    "position_ids": _INTEGERS,
}
"""The inputs that follow from the tokens, each with the element types that it may have."""


def check_text(model: ModelInspection, preparation: TextPreparation) -> Problem | None:
    if model.tokenizer is None:
        return problem("tokenizer_missing", "The data set is text, and the model came without a tokenizer.")
    if not any(spec.name == "input_ids" for spec in model.inputs):
        present = ", ".join(quoted(spec.name) for spec in model.inputs[:8])
        return _unfillable("input_ids", f"The model has no input called input_ids; it has: {present}.")
    for spec in model.inputs:
        found = _input(spec)
        if found is not None:
            return found
    return _length(model, preparation)


def _input(spec: TensorSpec) -> Problem | None:
    if spec.name not in FILLED:
        return _unfillable(spec.name, f"The model's input {quoted(spec.name)} cannot be made from texts.")
    if len(spec.shape) != 2:
        detail = f"{quoted(spec.name)} has {len(spec.shape)} axes in the model; tokens are [samples, tokens]."
        return problem("calibration_shape_mismatch", detail, entry=spec.name)
    if spec.dtype not in FILLED[spec.name]:
        detail = f"{quoted(spec.name)} is {quoted(spec.dtype)} in the model; tokens are integers."
        return problem("calibration_dtype_mismatch", detail, entry=spec.name)
    return None


def _unfillable(name: str, detail: str) -> Problem:
    return problem(
        "calibration_input_missing",
        detail,
        entry=name,
        hint="Tokenizing fills " + ", ".join(FILLED) + "; other inputs can be stored as arrays: numpy.savez.",
    )


def _length(model: ModelInspection, preparation: TextPreparation) -> Problem | None:
    """A longer text than the model has positions for would stop it in the middle."""
    fixed = {spec.shape[1] for spec in model.inputs if isinstance(spec.shape[1], int)}
    if len(fixed) > 1:
        detail = "The model's inputs differ in their fixed number of tokens."
        return problem("calibration_shape_mismatch", detail)
    limits = [n for n in (*fixed, model.tokenizer and model.tokenizer.max_length) if isinstance(n, int)]
    most, asked = min(limits, default=None), preparation.max_length
    if most is None or asked is None or asked <= most:
        return None
    return problem(
        "preparation_invalid",
        f"The model takes at most {most} tokens, and the preparation asks for {asked}.",
        hint=f"Create the data set again with a `max_length` of {most} or less, or without one.",
    )
