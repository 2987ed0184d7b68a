"""Which inputs and outputs of an operator can be float16, as its ONNX schema says."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

KEPT_IN_FLOAT32 = frozenset({
    "CumSum", "Range",  # sums over many steps: float16 counts to 2048
    "ReduceL2", "ReduceSumSquare",  # squares of 256 overflow
    "NonMaxSuppression", "RoiAlign", "TopK",  # coordinates and ranks, where a tie decides
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",  # the scale is float32
})  # fmt: skip

# The type of what these make is in an attribute, which the pass rewrites.
TYPED_BY_ATTRIBUTE = frozenset({"Cast", "ConstantOfShape"})


@dataclass(frozen=True)
class HalfSlots:
    """Positions that become float16; the others stay what they are."""

    inputs: frozenset[int]
    outputs: frozenset[int]


@dataclass(frozen=True)
class KeptInFloat32:
    """Why an operator is left as it is."""

    reason: str


def half_slots(node: ir.Node, opsets: Mapping[str, int]) -> HalfSlots | KeptInFloat32:
    """What of a node can be float16.

    A schema gives each input and output a type variable. A variable becomes float16 where its schema allows it: the
    data of a Resize does, its scales do not. requires: the types of all values are known.
    """
    if any(a.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for a in node.attributes.values()):
        return KeptInFloat32("It holds a graph of its own, which is left as it is.")
    if any(not isinstance(v.type, ir.TensorType) for v in (*node.inputs, *node.outputs) if v is not None and v.name):
        return KeptInFloat32("It works on sequences or optional values.")
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError:
        return KeptInFloat32(f"It is no ONNX operator: {node.domain or 'ai.onnx'}::{node.op_type}.")
    return _by_schema(node, schema)


def is_float32(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT


def _by_schema(node: ir.Node, schema: onnx.defs.OpSchema) -> HalfSlots | KeptInFloat32:
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}

    def takes_half(slot: onnx.defs.OpSchema.FormalParameter) -> bool:
        return "tensor(float16)" in allowed.get(slot.type_str, ())

    read = {i: schema.inputs[min(i, len(schema.inputs) - 1)] for i, v in enumerate(node.inputs) if v is not None}
    written = {i: schema.outputs[min(i, len(schema.outputs) - 1)] for i, v in enumerate(node.outputs)}
    given = {slot.type_str for slot in read.values()}
    inputs = frozenset(i for i, slot in read.items() if is_float32(node.inputs[i]) and takes_half(slot))
    outputs = frozenset(
        i
        for i, slot in written.items()
        if is_float32(node.outputs[i])
        and takes_half(slot)
        # what no input of the same variable determines is the attribute's to say
        and (slot.type_str in given or node.op_type in TYPED_BY_ATTRIBUTE)
    )
    touches_float32 = any(is_float32(v) for v in (*node.inputs, *node.outputs))
    if touches_float32 and not inputs and not outputs:
        return KeptInFloat32("Its schema has no float16.")
    return HalfSlots(inputs, outputs)
