"""Integers that became floats: time steps, positions, lengths. Float16 counts to 2048 without gaps, and to 65504."""

import onnx_ir as ir

from workers.quantization.half.operators import BOUNDS, COMPARES, multiplies_features
from workers.quantization.half.size import Size
from workers.quantization.half.slots import EXACT_IN_FLOAT16, is_float32

_TAMES = frozenset({"Sqrt", "Log"})


def makes_count(node: ir.Node) -> bool:
    """Integers of 8 bits are no counts: float16 holds them all."""
    if node.op_type not in {"Cast", "CastLike"}:
        return node.op_type == "Range" and is_float32(node.outputs[0])
    source = None if node.inputs[0] is None else node.inputs[0].dtype
    integers = source is not None and source.is_integer() and source not in EXACT_IN_FLOAT16
    return integers and is_float32(node.outputs[0])


def stays_count(node: ir.Node, read: dict[int, Size]) -> bool:
    """True until it meets data, goes through a layer, or is bounded."""
    if not _any_count(read) or node.op_type in BOUNDS or multiplies_features(node):
        return False
    return not _any_data(read)


def is_tame(node: ir.Node, read: dict[int, Size]) -> bool:
    return node.op_type in _TAMES or all(s.tame or s.fixed for s in read.values())


def takes_count(node: ir.Node, read: dict[int, Size]) -> bool:
    """True where counts have to be exact: among themselves, in what bounds them, and in comparisons."""
    bounded = node.op_type in BOUNDS and not _any_data(read)
    return _any_count(read) and (stays_count(node, read) or bounded or node.op_type in COMPARES)


def divides_by_count(node: ir.Node, read: dict[int, Size]) -> bool:
    return node.op_type == "Div" and 1 in read and read[1].count and not read[1].tame


def _any_count(read: dict[int, Size]) -> bool:
    return any(s.count for s in read.values())


def _any_data(read: dict[int, Size]) -> bool:
    return any(s.is_data for s in read.values())
