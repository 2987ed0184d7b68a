"""Nodes that a recipe leaves in float, against those that the model has: one check, whatever the method."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.close_names import close_names
from app.contracts.problem import ProblemDetail, ProblemFound, problem, quoted
from workers.ingestion.onnx_model.walk import every_node
from workers.quantization.graph.model_file import from_message
from workers.quantization.graph.opset import OpsetNotConvertible, raise_opset
from workers.quantization.passes.lift_constants import lift_constants

_POINTER = "/recipe/nodes_to_exclude"
_MOST_NAMED = 12
_MOST_EXAMPLES = 5
_MOST_GUESSES = 3
"""Names that a hint corrects: it is read by a person."""


def refuse_unknown_nodes(names: Sequence[str], model: onnx.ModelProto, folder: Path) -> None:
    """Nodes inside bodies exist, and those that preparing the model removes. folder: of its external data.

    Raises ProblemFound.
    """
    unknown = _not_in(names, {node.name for node in every_node(model)} - {""})
    if unknown:  # reports name nodes that have no name in the file
        unknown = _not_in(unknown, _names_in_reports(model, folder))
    if not unknown:
        return
    listed = ", ".join(quoted(name) for name in unknown[:_MOST_NAMED])
    others = f" and {len(unknown) - _MOST_NAMED} others" if len(unknown) > _MOST_NAMED else ""
    raise ProblemFound(
        problem(
            "recipe_node_not_found",
            f"The model has no node{'s' if unknown[1:] else ''} {listed}{others}.",
            hint=_hint(unknown, [node.name for node in model.graph.node if node.name and node.op_type != "Constant"]),
            errors=tuple(
                ProblemDetail(pointer=_POINTER, entry=quoted(name), detail=f"The model has no node {quoted(name)}.")
                for name in unknown[:_MOST_NAMED]
            ),
        )
    )


def _not_in(names: Sequence[str], known: set[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in known]


def _names_in_reports(model: onnx.ModelProto, folder: Path) -> set[str]:
    try:
        graph = lift_constants(from_message(raise_opset(model), folder)).graph
    except OpsetNotConvertible:  # which the method tells better
        return set()
    return {node.name or "" for node in ir.traversal.RecursiveGraphIterator(graph)}


def _hint(unknown: Sequence[str], known: Sequence[str]) -> str:
    """What each of the first names may stand for, or what names look like in this model."""
    found = {name: close_names(name, known) for name in unknown[:_MOST_GUESSES]}
    lines = ["A name stands for one node, spelled as in the ONNX graph; that of a module or a group stands for none."]
    lines += [f"Close to {quoted(name)}: {', '.join(map(quoted, close))}." for name, close in found.items() if close]
    if not all(found.values()) and known:
        lines.append(f"The model's first nodes: {', '.join(map(quoted, known[:_MOST_EXAMPLES]))}.")
    return " ".join(lines)
