"""Values near a division: an epsilon that keeps it from zero, and sums and squares, which overflow before it.

The norm of a row is the example: squares beyond 256 overflow, an epsilon of 1e-12 is zero in float16, and 0 / 0 is NaN.
"""

import onnx_ir as ir

from workers.quantization.half.exponents import power
from workers.quantization.half.operators import BOUNDS, GUARDS, MULTIPLIES_WEIGHTS, SUMS
from workers.quantization.half.size import Size

_AVERAGES = frozenset({"ReduceMean", "GlobalAveragePool"})


def makes_delicate(node: ir.Node, read: dict[int, Size]) -> bool:
    squares = node.op_type == "Mul" and node.inputs[0] is node.inputs[1]
    raises = node.op_type == "Pow" and power(node, otherwise=0.0) > 1
    guards = node.op_type in GUARDS and any(s.vanishes for s in read.values())
    return node.op_type in SUMS or guards or ((squares or raises) and _are_summed(node.outputs[0]))


def stays_delicate(node: ir.Node, read: dict[int, Size]) -> bool:
    """True until it has divided, has multiplied data, or is bounded."""
    if not takes_delicate(node, read) or node.op_type in BOUNDS:
        return False
    match node.op_type:
        case "Reciprocal" | "Log":
            return False
        case "Div":
            return 0 in read and read[0].delicate
        case "Pow":
            return power(node, otherwise=1.0) > 0
        case _:
            return True


def takes_delicate(node: ir.Node, read: dict[int, Size]) -> bool:
    """True where a delicate value still decides: it is not one of many that are added up or put together."""
    if node.op_type in MULTIPLIES_WEIGHTS or not any(s.delicate for s in read.values()):
        return False
    return node.op_type in {"Div", "Pow", "Add", "Sub"} or not any(s.is_data for s in read.values())


def _are_summed(value: ir.Value) -> bool:
    uses = value.uses()
    return bool(uses) and all(use.node.op_type in SUMS | _AVERAGES for use in uses)
