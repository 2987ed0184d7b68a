"""What an uploaded model is, and whether it can be trusted to be one. Leaves the form of it that jobs read."""

import math
from collections import Counter
from pathlib import Path

import onnx
from onnx import helper

from app.contracts.inspection import Dimension, ModelInspection, TensorSpec
from app.contracts.problem import quoted, refuse
from workers.ingestion.onnx_model.canonical import MODEL_FILE
from workers.ingestion.onnx_model.parse import load_model
from workers.pipeline.coverage import coverage_of
from workers.pipeline.estimate import estimate_of
from workers.pipeline.model_sources import ingest
from workers.pipeline.multiplications import multiplications_per_sample
from workers.pipeline.onnx_walk import every_node, every_tensor
from workers.pipeline.protocol import OUTPUT_FOLDER, InspectModelTask, ModelInspected
from workers.pipeline.reporter import Reporter
from workers.quantization.opset import default_opset
from workers.targets.onnxruntime_cpu import RuntimeRefused, Session

__all__ = ["describe", "inspect_model", "load_model"]

_INTEGER_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}
)


def inspect_model(task: InspectModelTask, scratch: Path, reporter: Reporter) -> ModelInspected:
    """Raises ProblemFound for a model that could not be quantized whatever the recipe."""
    output = scratch / OUTPUT_FOLDER
    output.mkdir(exist_ok=True)
    found = ingest(task, scratch, output, reporter)
    try:
        Session(output / MODEL_FILE, threads=1, optimized=False)
    except RuntimeRefused as error:
        raise refuse("model_not_runnable", quoted(error.reason)) from error
    inspection = describe(found.model)
    if not inspection.inputs:
        raise refuse("onnx_invalid", "The model has no inputs.", hint="Export it with the inputs that data is for.")
    coverage = {} if inspection.already_quantized else coverage_of(found.model, output)
    inspection = inspection.model_copy(update={**found.facts, "coverage": coverage})
    told = {
        "estimate": estimate_of(found.model, coverage),
        "multiplications_per_sample": multiplications_per_sample(found.model, inspection),
    }
    return ModelInspected(
        inspection=inspection.model_copy(update=told), files=found.files, warnings=tuple(reporter.warnings)
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
