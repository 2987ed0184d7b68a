"""Which inputs and outputs of an operator can be float16, as its ONNX schema and ONNX's type inference say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx.shape_inference import InferenceError, infer_node_outputs

KEPT_IN_FLOAT32 = frozenset({
    "CumSum", "CumProd", "Range",  # sums over many steps: float16 counts to 2048
    "ReduceL2", "ReduceSumSquare",  # squares of 256 overflow
    "NonMaxSuppression", "RoiAlign", "TopK",  # coordinates and ranks, where a tie decides
    "IsInf",  # it asks for what clipping takes away
    "BitCast",  # the bits of a float32
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",  # the scale is float32
})  # fmt: skip

_REFUSALS = (InferenceError, onnx.checker.ValidationError)

EXACT_IN_FLOAT16 = frozenset({
    ir.DataType.BOOL, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2,
    ir.DataType.UINT2, ir.DataType.FLOAT16, ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT4E2M1,
})  # fmt: skip
"""What a Cast may turn into float16 at once, beside float32 itself."""


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

    A schema gives each input and output a type variable. An input becomes float16 where its variable allows it: the
    data of a Resize does, its scales do not. What is written then, ONNX infers: a RandomNormalLike follows its input
    unless an attribute names a type. requires: the types of all values are known.
    """
    if any(a.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for a in node.attributes.values()):
        return KeptInFloat32("It holds a graph of its own, which is left as it is.")
    if any(not isinstance(v.type, ir.TensorType) for v in (*node.inputs, *node.outputs) if v is not None and v.name):
        return KeptInFloat32("It works on sequences or optional values.")
    if node.op_type in {"ScatterElements", "ScatterND"} and node.attributes.get_string("reduction", "none") != "none":
        return KeptInFloat32("ONNX Runtime on CPU scatters sums, products and extremes in float32 only.")
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError:
        return KeptInFloat32(f"It is no ONNX operator: {node.domain or 'ai.onnx'}::{node.op_type}.")
    return _by_schema(node, schema, opsets)


def is_float32(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT


def _by_schema(node: ir.Node, schema: onnx.defs.OpSchema, opsets: Mapping[str, int]) -> HalfSlots | KeptInFloat32:
    inputs = frozenset(i for i, v in enumerate(node.inputs) if is_float32(v) and _takes_half(schema, schema.inputs, i))
    outputs = _half_outputs(node, schema, inputs, opsets)
    if isinstance(outputs, KeptInFloat32):
        return outputs
    touches_float32 = any(is_float32(v) for v in (*node.inputs, *node.outputs))
    if touches_float32 and not inputs and not outputs:
        return KeptInFloat32("Its schema has no float16, or an attribute names float32.")
    return HalfSlots(inputs, outputs)


def _takes_half(schema: onnx.defs.OpSchema, slots: Sequence[onnx.defs.OpSchema.FormalParameter], index: int) -> bool:
    variable = slots[min(index, len(slots) - 1)].type_str  # the last may stand for any number
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    return "tensor(float16)" in allowed.get(variable, ())


def _half_outputs(
    node: ir.Node, schema: onnx.defs.OpSchema, inputs: frozenset[int], opsets: Mapping[str, int]
) -> frozenset[int] | KeptInFloat32:
    """What `node` writes as float16 when it reads `inputs` so: ONNX's own inference knows, and no table has to."""
    if node.op_type == "Cast":
        source = node.inputs[0]
        exact = source is not None and (is_float32(source) or source.dtype in EXACT_IN_FLOAT16)
        return frozenset({0} if exact and is_float32(node.outputs[0]) else ())
    if node.op_type == "ConstantOfShape":
        return frozenset({0} if is_float32(node.outputs[0]) else ())
    try:
        written = _inferred(node, schema, inputs, opsets)
    except _REFUSALS:
        if _is_inferred_in_float32(node, schema, opsets):
            return KeptInFloat32("ONNX knows no form of it in float16.")
        written = {}  # ONNX does not check this operator at all: its type variables have to do
    shared = {schema.inputs[min(i, len(schema.inputs) - 1)].type_str for i in inputs}
    variables = [schema.outputs[min(i, len(schema.outputs) - 1)].type_str for i in range(len(node.outputs))]
    return frozenset(
        i
        for i, (value, variable) in enumerate(zip(node.outputs, variables, strict=True))
        if is_float32(value) and (written[i] == ir.DataType.FLOAT16 if i in written else variable in shared)
    )


def _is_inferred_in_float32(node: ir.Node, schema: onnx.defs.OpSchema, opsets: Mapping[str, int]) -> bool:
    try:
        _inferred(node, schema, frozenset(), opsets)
    except _REFUSALS:
        return False
    return True


def _inferred(
    node: ir.Node, schema: onnx.defs.OpSchema, half: frozenset[int], opsets: Mapping[str, int]
) -> dict[int, ir.DataType]:
    """The element types of what `node` writes when it reads the inputs `half` as float16, as ONNX infers them."""
    message = ir.to_proto(node)
    message.output[:] = [f"output_{index}" for index in range(len(message.output))]
    types = {}
    for index, value in enumerate(node.inputs):
        if value is not None and value.dtype is not None:
            message.input[index] = f"input_{index}"
            dtype = ir.DataType.FLOAT16 if index in half else value.dtype
            types[message.input[index]] = onnx.helper.make_tensor_type_proto(int(dtype), None)
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    inferred = infer_node_outputs(schema, message, types, opset_imports=imports)
    named = ((index, inferred[name]) for index, name in enumerate(message.output) if name in inferred)
    return {index: ir.DataType(found.tensor_type.elem_type) for index, found in named}
