"""The rules that a model must keep before any runtime is let near it, cheapest first."""

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import checker, defs, helper, numpy_helper, shape_inference

from app.contracts.problem import quoted, refuse
from workers.pipeline.onnx_walk import every_node, every_tensor, holds_broken_text
from workers.quantization.opset import OLDEST_SUPPORTED, default_opset

_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_MAX_ELEMENTS = 1 << 40

_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)


def refuse_untrustworthy(model: onnx.ModelProto) -> None:
    """Raises ProblemFound for the first rule that is broken."""
    if holds_broken_text(model):
        raise refuse("onnx_parse_error", "The file holds names that are not valid text.")
    _check_names(model)
    _check_versions(model)
    _check_operators(model)
    for tensor in every_tensor(model):
        _check_external(tensor)
        _check_extents(tensor)
        _check_payload(tensor)
    _check_format(model)
    for tensor in every_tensor(model):
        _check_finite(tensor)


def _check_names(model: onnx.ModelProto) -> None:
    """The names that an inspection repeats and that data is matched by: cleaned ones would match nothing."""
    for what, name in _reported_names(model):
        if not name.isprintable():
            detail = f"The name of {what} holds characters that cannot be printed: {quoted(name)}."
            raise refuse("onnx_invalid", detail, entry=name, hint="Rename it and export the model again.")


def _reported_names(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    for what, values in (("an input", model.graph.input), ("an output", model.graph.output)):
        for value in values:
            yield what, value.name
            yield from ((f"a dimension of {what}", d.dim_param) for d in value.type.tensor_type.shape.dim)
    for node in every_node(model):
        yield "an operator", node.op_type
        yield "an operator's domain", node.domain


def _check_versions(model: onnx.ModelProto) -> None:
    opset, newest = default_opset(model), defs.onnx_opset_version()
    if opset is None:
        raise refuse("onnx_opset_unsupported", "The model does not name the opset of the standard operators.")
    if not OLDEST_SUPPORTED <= opset <= newest:
        detail = f"The model uses opset {opset}; {OLDEST_SUPPORTED} to {newest} are supported."
        raise refuse("onnx_opset_unsupported", detail)
    if model.ir_version > onnx.IR_VERSION:
        detail = f"The model's format has IR version {model.ir_version}; up to {onnx.IR_VERSION} is supported."
        raise refuse("onnx_opset_unsupported", detail)


def _check_operators(model: onnx.ModelProto) -> None:
    if model.functions:
        raise refuse(
            "onnx_operator_not_allowed",
            "The model defines functions of its own.",
            entry=model.functions[0].name,
            hint="Inline them first: onnx.inliner.inline_local_functions(model).",
        )
    for node in every_node(model):
        if node.domain not in _STANDARD:
            detail = f"Operator {quoted(node.op_type)} belongs to domain {quoted(node.domain)}."
            raise refuse("onnx_operator_not_allowed", detail, entry=node.name or node.op_type)


def _check_external(tensor: onnx.TensorProto) -> None:
    if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
        return
    location = next((e.value for e in tensor.external_data if e.key == "location"), "")
    detail = f"Tensor {quoted(tensor.name)} is kept in the file {quoted(location)}."
    raise refuse("onnx_external_data_missing", detail, entry=tensor.name or "(unnamed)")


def _check_extents(tensor: onnx.TensorProto) -> None:
    if any(d < 0 for d in tensor.dims) or math.prod(tensor.dims) > _MAX_ELEMENTS:
        detail = f"Tensor {quoted(tensor.name)} declares the shape {quoted(str(list(tensor.dims)))}."
        raise refuse("onnx_tensor_too_large", detail, entry=tensor.name or "(unnamed)")


def _check_payload(tensor: onnx.TensorProto) -> None:
    """A file that was cut off can still parse: then a tensor holds fewer bytes than its shape needs."""
    if not tensor.HasField("raw_data") or tensor.data_type == onnx.TensorProto.STRING:
        return
    try:
        width = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError as error:
        raise refuse("onnx_invalid", f"Tensor {quoted(tensor.name)} has no known element type.") from error
    expected = math.prod(tensor.dims) * width
    sub_byte = helper.tensor_dtype_to_field(tensor.data_type) == "int32_data" and width == 1
    if len(tensor.raw_data) != expected and not (sub_byte and len(tensor.raw_data) < expected):
        detail = f"Tensor {quoted(tensor.name)} holds {len(tensor.raw_data)} bytes where its shape needs {expected}."
        raise refuse("onnx_invalid", detail, entry=tensor.name or "(unnamed)", hint="The file may be cut off.")


def _check_format(model: onnx.ModelProto) -> None:
    """The format's own checker, and its shape inference, whose contradictions are errors too."""
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise refuse("onnx_invalid", quoted(_first_line(error))) from error
    except (ValueError, RuntimeError) as error:
        raise refuse("onnx_invalid", quoted(_first_line(error))) from error


def _check_finite(tensor: onnx.TensorProto) -> None:
    """NaN is never right. A single infinity is: exporters write masks with it."""
    if tensor.data_type not in _FLOATS:
        return
    values = numpy_helper.to_array(tensor).astype(np.float32, copy=False)
    broken = np.isnan(values).any() if values.size == 1 else not np.isfinite(values).all()
    if broken:
        detail = f"Tensor {quoted(tensor.name)} holds NaN or infinite values."
        raise refuse("nonfinite_weights", detail, entry=tensor.name or "(unnamed)")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
