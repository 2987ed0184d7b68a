"""The inputs of a model that follow from tokens: their names, what they may be made of, and how long they may be."""

from collections.abc import Sequence

from app.contracts.inspection import TensorSpec
from app.contracts.problem import Problem, problem, quoted

INPUT_IDS, ATTENTION_MASK = "input_ids", "attention_mask"
TOKEN_TYPE_IDS, POSITION_IDS = "token_type_ids", "position_ids"

_INTEGERS = ("int64", "int32", "int16", "uint8", "uint16", "uint32", "uint64")
_OF_MASKS = (*_INTEGERS, "int8", "bool", "float16", "float32", "float64")

FILLED = {
    INPUT_IDS: _INTEGERS,
    ATTENTION_MASK: _OF_MASKS,
    TOKEN_TYPE_IDS: _INTEGERS,
    POSITION_IDS: _INTEGERS,
}
"""Each with the element types that it may have."""

_AS_ARRAYS = "Store the inputs as arrays instead: numpy.savez(path, name=array)."


def check_token_input(spec: TensorSpec) -> Problem | None:
    """Of one of `FILLED`."""
    if len(spec.shape) != 2:
        detail = f"{quoted(spec.name)} has {len(spec.shape)} axes in the model; tokens are [samples, tokens]."
        return problem("calibration_shape_mismatch", detail, entry=spec.name, hint=_AS_ARRAYS)
    if spec.dtype not in FILLED[spec.name]:
        detail = f"{quoted(spec.name)} is {quoted(spec.dtype)} in the model; tokens are integers."
        return problem("calibration_dtype_mismatch", detail, entry=spec.name, hint=_AS_ARRAYS)
    return None


def fixed_length(inputs: Sequence[TensorSpec]) -> int | None:
    """The number of tokens that a model of such inputs, checked before, takes; None if it takes any."""
    return min(_fixed_lengths(inputs), default=None)


def check_length(inputs: Sequence[TensorSpec], asked: int | None, *, positions: int | None) -> Problem | None:
    """A longer text than the model has positions for would stop it in the middle."""
    fixed = _fixed_lengths(inputs)
    if len(fixed) > 1:
        detail = "The model's inputs differ in their fixed number of tokens."
        hint = "Export it with one number of tokens for all inputs, or with a free one."
        return problem("calibration_shape_mismatch", detail, hint=hint)
    most = min((n for n in (*fixed, positions) if n is not None), default=None)
    if most is None or asked is None or asked <= most:
        return None
    return problem(
        "preparation_invalid",
        f"The model takes at most {most} tokens, and the preparation asks for {asked}.",
        hint=f"Create the data set again with a `max_length` of {most} or less, or without one.",
    )


def _fixed_lengths(inputs: Sequence[TensorSpec]) -> set[int]:
    return {spec.shape[1] for spec in inputs if isinstance(spec.shape[1], int)}
