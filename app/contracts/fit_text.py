"""Can a model's inputs be filled by tokenizing texts?"""

from app.contracts.fit_tokens import FILLED, INPUT_IDS, check_length, check_token_input
from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import TextPreparation
from app.contracts.problem import Problem, problem, quoted


def check_text(model: ModelInspection, preparation: TextPreparation) -> Problem | None:
    if model.tokenizer is None:
        return problem("tokenizer_missing", "The data set is text, and the model came without a tokenizer.")
    if not any(spec.name == INPUT_IDS for spec in model.inputs):
        present = ", ".join(quoted(spec.name) for spec in model.inputs[:8])
        return _unfillable(INPUT_IDS, f"The model has no input called input_ids; it has: {present}.")
    for spec in model.inputs:
        found = _input(spec)
        if found is not None:
            return found
    return check_length(model.inputs, preparation.max_length, positions=model.tokenizer.max_length)


def _input(spec: TensorSpec) -> Problem | None:
    if spec.name not in FILLED:
        return _unfillable(spec.name, f"The model's input {quoted(spec.name)} cannot be made from texts.")
    return check_token_input(spec)


def _unfillable(name: str, detail: str) -> Problem:
    return problem(
        "calibration_input_missing",
        detail,
        entry=name,
        hint="Tokenizing fills " + ", ".join(FILLED) + "; other inputs can be stored as arrays: numpy.savez.",
    )
