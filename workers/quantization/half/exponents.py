"""How operators change the magnitude of values: x * 3e-8 has another than x, and times 1e7 nearly the old one again."""

import onnx_ir as ir

from workers.quantization.graph.constants import float_constant_of
from workers.quantization.half.operators import ADDS, BOUNDS, MULTIPLIES_WEIGHTS
from workers.quantization.half.size import Size

_MULTIPLIED = {"Mul": 1.0, "Div": -1.0}


def exponent(node: ir.Node, read: dict[int, Size]) -> float:
    """log2 of the magnitude of what `node` writes, from the sizes of its float32 inputs."""
    op_type = node.op_type
    if op_type in BOUNDS:
        return 0.0
    if op_type in MULTIPLIES_WEIGHTS:
        return _of_layer(read)
    if op_type in {"Max", "Min"}:
        return max((s.exponent for s in read.values() if not s.fixed), default=0.0)
    if op_type in ADDS:
        return max(s.exponent for s in read.values())
    first, *others = (s.exponent for s in read.values())
    if op_type in _MULTIPLIED:
        return first + _MULTIPLIED[op_type] * sum(others)
    return first * _power_of(node)


def power(node: ir.Node, *, otherwise: float) -> float:
    """The exponent of a Pow, where it is one constant number."""
    given = float_constant_of(node.inputs[1])
    return float(given.item()) if given is not None and given.size == 1 else otherwise


def _power_of(node: ir.Node) -> float:
    match node.op_type:
        case "Reciprocal":
            return -1.0
        case "Sqrt":
            return 0.5
        case "ReduceSumSquare":
            return 2.0
        case "Pow":
            return power(node, otherwise=1.0)
        case _:
            return 1.0


def _of_layer(read: dict[int, Size]) -> float:
    """Weights of ordinary size were learned to give results of ordinary size; a bias sets the least that comes out."""
    product = sum(s.exponent for i, s in read.items() if i < 2 and (s.is_wide or not s.fixed))
    total = Size(exponent=max([product, *(s.exponent for i, s in read.items() if i == 2)]))
    return total.exponent if total.is_wide else 0.0
