"""The facts about a sound ONNX model: inputs, outputs, operators, parameters."""

import math
from collections import Counter

import onnx
from onnx import helper

from app.contracts.inspection import Dimension, ModelInspection, TensorSpec
from app.contracts.problem import quoted
from workers.ingestion.onnx_model.time_axes import time_first
from workers.ingestion.onnx_model.walk import every_node, every_tensor
from workers.quantization.graph.opset import default_opset

_INTEGER_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}
)


def describe(model: onnx.ModelProto) -> ModelInspection:
    """The facts about a sound model."""
    counts = Counter(node.op_type for node in every_node(model))
    by_dtype: Counter[str] = Counter()
    for tensor in every_tensor(model):
        by_dtype[_dtype_name(tensor.data_type)] += math.prod(tensor.dims)
    constants = {t.name for t in model.graph.initializer}
    return ModelInspection(
        inputs=tuple(_spec(v) for v in model.graph.input if v.name not in constants),
        outputs=tuple(_spec(v) for v in model.graph.output),
        opset=default_opset(model) or 0,
        ir_version=model.ir_version,
        producer=quoted(f"{model.producer_name} {model.producer_version}".strip()),
        op_counts=dict(counts.most_common()),
        time_first=time_first(model),
        parameters=sum(by_dtype.values()),
        parameters_by_dtype=dict(by_dtype.most_common()),
        already_quantized=any(op in _INTEGER_OPERATORS or op.startswith("QLinear") for op in counts),
    )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    return TensorSpec(name=value.name, dtype=_dtype_name(tensor.elem_type), shape=_shape(tensor.shape))


def _shape(shape: onnx.TensorShapeProto) -> tuple[Dimension, ...]:
    """Symbolic extents keep their names; those without one are called ?0, ?1 by their axis."""
    return tuple(_dimension(d, axis) for axis, d in enumerate(shape.dim))


def _dimension(dimension: onnx.TensorShapeProto.Dimension, axis: int) -> Dimension:
    # some exporters write -1, or 0 without a name, for an extent that is not known
    if dimension.WhichOneof("value") == "dim_value" and dimension.dim_value > 0:
        return int(dimension.dim_value)
    name = str(dimension.dim_param)
    return name if name and name != "?" else f"?{axis}"


def _dtype_name(element_type: int) -> str:
    if element_type == onnx.TensorProto.STRING:
        return "string"
    try:
        return str(helper.tensor_dtype_to_np_dtype(element_type).name)
    except KeyError:
        return "undefined"
