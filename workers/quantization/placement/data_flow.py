"""Telling data from masks and positions: both are float tensors, but only data is worth 256 steps.

Masks and positions are made of integers (token ids, lengths, shapes). Data is what an embedding finds, what a float
input holds, and everything computed from those, except through operators that give out shapes, truth values or indices.
"""

import onnx_ir as ir

from workers.quantization.graph.constants import float_constant_of

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})

_NO_DATA_COMES_OUT = frozenset(
    {
        "Shape", "Size", "NonZero", "ArgMax", "ArgMin", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
        "Not", "And", "Or", "Xor", "IsNaN", "IsInf", "ConstantOfShape", "Range", "EyeLike", "OneHot",
    }
)  # fmt: skip


def values_with_data(graph: ir.Graph) -> set[str]:
    """The names of the tensors that hold data."""
    known = {v.name or "" for v in graph.inputs if v.dtype is None or v.dtype in _FLOATS}
    for node in graph:
        if _gives_data(node, known):
            known.update(v.name or "" for v in node.outputs)
    return known


def _gives_data(node: ir.Node, known: set[str]) -> bool:
    if node.op_type in _NO_DATA_COMES_OUT:
        return False
    if node.op_type == "Cast" and ir.DataType(node.attributes.get_int("to")) not in _FLOATS:
        return False
    if node.op_type == "Gather" and float_constant_of(node.inputs[0]) is not None:
        return True
    return any(v is not None and v.name in known for v in node.inputs)
