"""What an uploaded ONNX model is, and whether it can be trusted to be one. Nothing it names is ever opened."""

from collections import Counter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import helper

from app.contracts.inspection import Dimension, ModelInspection, TensorSpec
from app.contracts.problem import quoted, refuse
from workers.pipeline.model_rules import refuse_untrustworthy
from workers.pipeline.onnx_walk import every_node, every_tensor
from workers.pipeline.protocol import ModelInspected
from workers.pipeline.reporter import Reporter
from workers.quantization.opset import default_opset
from workers.targets.onnxruntime_cpu import RuntimeRefused, Session

_INTEGER_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}
)


def load_model(path: Path) -> onnx.ModelProto:
    """Parse the file. Raises ProblemFound."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise refuse("onnx_parse_error", "The file is not a protobuf message of an ONNX model.") from error
    if not model.HasField("graph") or not model.graph.node or not model.ir_version:
        raise refuse("onnx_parse_error", "The file holds no graph of operators.")
    return model


def inspect_model(path: Path, reporter: Reporter) -> ModelInspected:
    """Raises ProblemFound for a model that could not be quantized whatever the recipe."""
    model = load_model(path)
    refuse_untrustworthy(model)
    try:
        Session(model.SerializeToString(), threads=1, optimized=False)
    except RuntimeRefused as error:
        raise refuse("model_not_runnable", quoted(str(error))) from error
    inspection = describe(model)
    if not inspection.inputs:
        raise refuse("onnx_invalid", "The model has no inputs.")
    return ModelInspected(inspection=inspection, warnings=tuple(reporter.warnings))


def describe(model: onnx.ModelProto) -> ModelInspection:
    """The facts about a sound model."""
    counts = Counter(node.op_type for node in every_node(model))
    constants = {t.name for t in model.graph.initializer}
    return ModelInspection(
        inputs=tuple(_spec(v) for v in model.graph.input if v.name not in constants),
        outputs=tuple(_spec(v) for v in model.graph.output),
        opset=default_opset(model) or 0,
        ir_version=model.ir_version,
        producer=quoted(f"{model.producer_name} {model.producer_version}".strip()),
        op_counts=dict(counts.most_common()),
        parameters=sum(_elements(t) for t in every_tensor(model)),
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


def _elements(tensor: onnx.TensorProto) -> int:
    count = 1
    for extent in tensor.dims:
        count *= extent
    return count
