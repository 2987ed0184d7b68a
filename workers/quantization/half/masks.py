"""Where a mask leads: values that go nowhere but into functions to which 65504 is as good as infinity."""

import onnx_ir as ir

from workers.quantization.graph.weighted_operators import is_standard
from workers.quantization.half.operators import ADDS, LIMITS, SATURATES

_PASSES = ADDS | LIMITS | {"Mul", "Div", "Neg"}


def saturating(graph: ir.Graph) -> frozenset[ir.Value]:
    """The values of which every use ends in a Softmax, a maximum, a comparison or the like, and none in an output.

    -1e9 for what attention must not see is such a value, and so is the sum of it and the scores.
    """
    found: set[ir.Value] = set()
    for node in reversed(graph):
        for value in node.outputs:
            uses = value.uses()
            if uses and not value.is_graph_output() and all(_ends(use.node, found) for use in uses):
                found.add(value)
    return frozenset(found)


def _ends(node: ir.Node, found: set[ir.Value]) -> bool:
    if not is_standard(node):
        return False
    return node.op_type in SATURATES or (node.op_type in _PASSES and all(v in found for v in node.outputs))
