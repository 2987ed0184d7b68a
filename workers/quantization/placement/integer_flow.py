"""How far the integers that convolutions produce can travel before somebody needs a float."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import onnx_ir as ir

from workers.quantization.graph.constants import constant_of
from workers.quantization.graph.weighted_operators import is_standard

MOVES_VALUES = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"})
"""The result holds only values of the first input, so it has the same scale."""

POOLS = frozenset({"AveragePool", "GlobalAveragePool"})
JOINS = frozenset({"Add", "Concat"})
"""All inputs are data; the result has a range of its own."""


Excluded = Callable[[ir.Node], bool]
"""Whether the recipe leaves an operator in float."""


@dataclass
class IntegerFlow:
    """Tensors that are integers from the operator that makes them on."""

    scale_of: dict[str, str] = field(default_factory=dict)
    """Tensor -> the tensor whose scale it has."""
    decisions: list[tuple[str, str, str]] = field(default_factory=list)
    """(node, operator, reason) of the operators between convolutions that compute in integers."""


def activation_follows(node: ir.Node, excluded: Excluded) -> ir.Value:
    """The result of an operator: behind the Relu or Clip that alone reads it, if there is one that may be absorbed.

    The kernels clamp for free: with the zero point of a range that starts at 0, the smallest code is the Relu.
    """
    value = node.outputs[0]
    if len(value.uses()) != 1 or value.is_graph_output():
        return value
    (use,) = value.uses()
    reader = use.node
    if reader.graph is not node.graph or not is_standard(reader) or excluded(reader):
        return value
    absorbed = reader.op_type == "Relu" or (reader.op_type == "Clip" and use.idx == 0 and _clips_around_zero(reader))
    return reader.outputs[0] if absorbed else value


def flow_through(graph: ir.Graph, weighted: AbstractSet[str], *, excluded: Excluded) -> IntegerFlow:
    """Follow the integers from the quantized convolutions. `weighted` names all quantized operators."""
    flow = IntegerFlow()
    wanted = _wanted(graph, weighted, excluded)
    for node in graph:
        if node.op_type == "Conv" and node.name in weighted:
            result = activation_follows(node, excluded).name or ""
            flow.scale_of[result] = result
        elif node.name in wanted and _all_integers(node, flow):
            _extend(flow, node, excluded)
    return flow


def _wanted(graph: ir.Graph, weighted: AbstractSet[str], excluded: Excluded) -> set[str]:
    """Flow operators whose result a quantized operator reads, directly or through others of their kind."""
    wanted: set[str] = set()
    for node in reversed(list(graph)):
        if not is_standard(node) or node.op_type not in MOVES_VALUES | POOLS | JOINS or excluded(node):
            continue
        result = activation_follows(node, excluded) if node.op_type == "Add" else node.outputs[0]
        readers = {(u.node.name, u.idx) for u in result.uses()}
        serves = any((n in weighted and i == 0) or n in wanted for n, i in readers)
        if serves and not result.is_graph_output() and len(node.outputs) == 1:
            wanted.add(node.name or "")
    return wanted


def _all_integers(node: ir.Node, flow: IntegerFlow) -> bool:
    data = node.inputs if node.op_type in JOINS else node.inputs[:1]
    return all(v is not None and v.name in flow.scale_of for v in data)


def _extend(flow: IntegerFlow, node: ir.Node, excluded: Excluded) -> None:
    if node.op_type in MOVES_VALUES:
        source, result = node.inputs[0], node.outputs[0]
        assert source is not None
        flow.scale_of[result.name or ""] = flow.scale_of[source.name or ""]
        reason = "Passes uint8 through."
    else:
        result = activation_follows(node, excluded) if node.op_type == "Add" else node.outputs[0]
        flow.scale_of[result.name or ""] = result.name or ""
        reason = "uint8 in and out, between quantized operators."
    flow.decisions.append((node.name or "", node.op_type, reason))


def _clips_around_zero(clip: ir.Node) -> bool:
    """A range always contains zero, so only a Clip whose bounds do too can be replaced by the range."""
    low, high = ([constant_of(v) for v in clip.inputs[1:3]] + [None, None])[:2]
    return low is not None and high is not None and float(low.item()) <= 0.0 <= float(high.item())


def is_dilated_pool(node: ir.Node | None) -> bool:
    return node is not None and node.op_type == "AveragePool" and bool(_dilations(node) - {1})


def _dilations(node: ir.Node) -> set[int]:
    return set(node.attributes.get_ints("dilations", ()) or ())
