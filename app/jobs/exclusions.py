"""Operator types that a recipe leaves in float, against those that the model has. Nodes are judged by the job."""

from collections.abc import Iterable, Sequence

from app.contracts.close_names import close_names
from app.contracts.inspection import ModelInspection, Notice
from app.contracts.operator_types import STANDARD_OPERATOR_TYPES
from app.contracts.problem import Problem, ProblemDetail, problem, quoted

_MOST_NAMED = 12
_MOST_GUESSES = 3
"""Types that a hint corrects: it is read by a person."""


def exclusion_problem(op_types: Sequence[str], model: ModelInspection) -> Problem | None:
    """Why types that are in neither the model nor the standard cannot be meant; None if there are none."""
    known = {*model.op_counts, *STANDARD_OPERATOR_TYPES}
    unknown = {index: name for index, name in enumerate(op_types) if name not in known}
    if not unknown:
        return None
    listed = ", ".join(quoted(name) for name in list(dict.fromkeys(unknown.values()))[:_MOST_NAMED])
    return problem(
        "recipe_op_type_unknown",
        f"ONNX defines no such operator, and the model has none: {listed}.",
        hint=" ".join([*_guesses(unknown.values(), model), _what_there_is(model)]).strip() or None,
        errors=tuple(
            ProblemDetail(
                pointer=f"/recipe/op_types_to_exclude/{index}", detail=f"There is no operator type {quoted(name)}."
            )
            for index, name in list(unknown.items())[:_MOST_NAMED]
        ),
    )


def unused_exclusions(op_types: Sequence[str], model: ModelInspection) -> Notice | None:
    """One recipe may serve several models, so a type that this one has not is no mistake."""
    unused = [name for name in dict.fromkeys(op_types) if name in STANDARD_OPERATOR_TYPES - model.op_counts.keys()]
    if not unused:
        return None
    detail = f"`op_types_to_exclude` names what the model does not have: {', '.join(unused[:_MOST_NAMED])}."
    return Notice(code="exclusion_unused", detail=detail)


def _guesses(unknown: Iterable[str], model: ModelInspection) -> list[str]:
    guesses = []
    for name in list(dict.fromkeys(unknown))[:_MOST_GUESSES]:
        close = close_names(name, model.op_counts) or close_names(name, STANDARD_OPERATOR_TYPES)
        if close:
            guesses.append(f"Did you mean {' or '.join(map(quoted, close))} instead of {quoted(name)}?")
    return guesses


def _what_there_is(model: ModelInspection) -> str:
    """The most frequent ones first."""
    there = ", ".join(map(quoted, sorted(model.op_counts, key=lambda op: (-model.op_counts[op], op))[:_MOST_NAMED]))
    more = ", and others" if len(model.op_counts) > _MOST_NAMED else ""
    return f"The model has {there}{more}." if there else ""
