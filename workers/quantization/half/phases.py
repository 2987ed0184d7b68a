"""What a Sin or Cos of times, positions or coordinates is computed from.

The argument of a periodic function may be off by a fixed amount, not by a fraction: near 1000, float16 stands half a
radian apart. What layers have computed is small and was rounded before; there float16 stays.
"""

import onnx_ir as ir

from workers.quantization.graph.weighted_operators import is_candidate, is_standard
from workers.quantization.half.operators import multiplies_features

_PERIODIC = frozenset({"Sin", "Cos", "Tan"})


def phases(graph: ir.Graph) -> frozenset[ir.Node]:
    """The periodic functions of what no layer has computed, and all operators above them."""
    layered = _layered(graph)
    wanted: set[ir.Value] = set()
    found: set[ir.Node] = set()
    for node in reversed(graph):
        periodic = is_standard(node) and node.op_type in _PERIODIC
        if not layered.isdisjoint(node.outputs) or not (periodic or any(v in wanted for v in node.outputs)):
            continue
        found.add(node)
        wanted.update(v for v in node.inputs if v is not None)
    return frozenset(found)


def _layered(graph: ir.Graph) -> set[ir.Value]:
    found: set[ir.Value] = set()
    for node in graph:
        embeds = is_candidate(node) and node.op_type == "Gather"
        if multiplies_features(node) or embeds or any(v in found for v in node.inputs):
            found.update(node.outputs)
    return found
