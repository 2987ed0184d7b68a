"""Functions that a model defines for itself, as torch's exporter does: written out where they are called."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import onnx
from onnx import inliner
from onnx.version_converter import ConvertError

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.onnx_model.walk import every
from workers.quantization.graph.skeleton import without_weights

_STANDARD = frozenset({"", "ai.onnx"})
_MOST_NODES = 500_000
"""Functions that call each other twice double with each level: a few lines could stand for any number of nodes."""


class Name(NamedTuple):
    domain: str
    name: str
    overload: str


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions; the one that came in when it has none. Weights may lie elsewhere, and stay there.

    Raises ProblemFound for functions that call themselves, grow without measure or take a standard operator's place.
    """
    if not model.functions:
        return model
    _require_finite(model)
    skeleton = without_weights(model)
    try:
        written_out = inliner.inline_local_functions(skeleton.model, convert_version=True)
    except (RuntimeError, ValueError, ConvertError) as error:
        raise _refused(model, f"cannot be written out: {quoted(str(error))}") from error
    if written_out.functions:
        raise _refused(written_out, "cannot be written out where it is called")
    return skeleton.completed(written_out)


def _require_finite(model: onnx.ModelProto) -> None:
    bodies = {Name(f.domain, f.name, f.overload): f for f in model.functions}
    if len(bodies) != len(model.functions):
        raise _refused(model, "is defined twice")
    if any(name.domain in _STANDARD for name in bodies):
        raise _refused(model, "takes the place of a standard operator")
    sizes: dict[Name, int] = {}
    for name in bodies:
        _measure(name, bodies, sizes)
    if _size(every(model.graph, onnx.NodeProto), sizes) > _MOST_NODES:
        raise _refused(model, f"and the others become more than {_MOST_NODES} operators")


def _measure(start: Name, bodies: Mapping[Name, onnx.FunctionProto], sizes: dict[Name, int]) -> None:
    """The number of nodes that a function becomes, in `sizes`, after those that it calls. Without recursion of ours."""
    path = [start]
    while path:
        nodes = list(every(bodies[path[-1]], onnx.NodeProto))
        unknown = {c for c in map(_called, nodes) if c in bodies and c not in sizes}
        if not unknown:
            sizes[path.pop()] = _size(nodes, sizes)
        elif unknown & set(path):
            raise refuse("onnx_operator_not_allowed", f"Function {quoted(start.name)} calls itself.", entry=start.name)
        else:
            path.append(unknown.pop())


def _size(nodes: Iterable[onnx.NodeProto], sizes: Mapping[Name, int]) -> int:
    return sum(sizes.get(_called(node), 1) for node in nodes)


def _called(node: onnx.NodeProto) -> Name:
    return Name(node.domain, node.op_type, node.overload)


def _refused(model: onnx.ModelProto, why: str) -> ProblemFound:
    name = model.functions[0].name
    return refuse(
        "onnx_operator_not_allowed",
        f"Function {quoted(name)} of the model {why}.",
        entry=name,
        hint="Write functions out first: onnx.inliner.inline_local_functions(model).",
    )
