"""The rules that a model must keep before any runtime is let near it, cheapest first."""

import math
from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import checker, defs, numpy_helper

from app.contracts.problem import quoted, refuse
from workers.ingestion.foreign_errors import first_line
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.external_data import check_external_data
from workers.ingestion.onnx_model.finite_weights import refuse_nonfinite
from workers.ingestion.onnx_model.operators import refuse_foreign_operators
from workers.ingestion.onnx_model.walk import every, every_node, every_tensor, holds_broken_text
from workers.quantization.graph.format_check import check_graph
from workers.quantization.graph.opset import OLDEST_SUPPORTED, default_opset
from workers.quantization.graph.skeleton import is_external, is_known_type, tensor_bytes, without_weights

_MAX_ELEMENTS = 1 << 40


def refuse_untrustworthy(model: onnx.ModelProto, files: FilesBeside) -> None:
    """All rules. Raises ProblemFound for the first that is broken. files: where external data may lie."""
    refuse_unreadable(model, files)
    refuse_unsound(model, files)


def refuse_unreadable(model: onnx.ModelProto, files: FilesBeside) -> None:
    """Rules that each message keeps or breaks alone. Raises ProblemFound."""
    if holds_broken_text(model):
        raise refuse("onnx_parse_error", "The file holds names that are not valid text.", hint="Write names in UTF-8.")
    _check_names(model)
    _check_versions(model)
    refuse_foreign_operators(model)
    _check_types(model)
    for tensor in every_tensor(model):
        _check_extents(tensor)
    check_external_data(model, files)
    for tensor in every_tensor(model):
        _check_payload(tensor)


def refuse_unsound(model: onnx.ModelProto, files: FilesBeside) -> None:
    """Rules of the whole. Raises ProblemFound.

    requires: `refuse_unreadable`, and no external data but that of the main graph's initializers
    """
    _check_format(model)
    for tensor in every_tensor(model):
        refuse_nonfinite(tensor, files)


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
        detail = "The model does not name the opset of the standard operators."
        raise refuse(
            "onnx_opset_unsupported", detail, hint="Export it again: opset_import names one for the domain ''."
        )
    if not OLDEST_SUPPORTED <= opset <= newest:
        detail = f"The model uses opset {opset}; {OLDEST_SUPPORTED} to {newest} are supported."
        raise refuse("onnx_opset_unsupported", detail)
    if model.ir_version > onnx.IR_VERSION:
        detail = f"The model's format has IR version {model.ir_version}; up to {onnx.IR_VERSION} is supported."
        hint = "Set model.ir_version to that before saving, where the model uses nothing newer."
        raise refuse("onnx_opset_unsupported", detail, hint=hint)


def _check_types(model: onnx.ModelProto) -> None:
    """Data sets hold tensors of numbers, and the tools that change graphs do not know maps."""
    for value in every(model, onnx.ValueInfoProto):
        if any(kind.HasField("map_type") for kind in every(value, onnx.TypeProto)):
            detail = f"{quoted(value.name)} holds maps, from keys to numbers."
            hint = "Scikit-learn's classifiers give tensors if they are exported with options={'zipmap': False}."
            raise refuse("onnx_type_unsupported", detail, entry=value.name, hint=hint)
    for value in model.graph.input:
        if value.type.WhichOneof("value") not in {"tensor_type", None}:
            detail = f"The input {quoted(value.name)} takes something else than a tensor."
            raise refuse("onnx_type_unsupported", detail, entry=value.name)
        if value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            detail = f"The input {quoted(value.name)} takes text."
            hint = "Cut off what turns text into numbers, and export the rest of the model."
            raise refuse("onnx_type_unsupported", detail, entry=value.name, hint=hint)


def _check_extents(tensor: onnx.TensorProto) -> None:
    if any(d < 0 for d in tensor.dims) or math.prod(tensor.dims) > _MAX_ELEMENTS:
        detail = f"Tensor {quoted(tensor.name)} declares the shape {quoted(str(list(tensor.dims)))}."
        raise refuse("onnx_tensor_too_large", detail, entry=tensor.name or "(unnamed)")


def _check_payload(tensor: onnx.TensorProto) -> None:
    """A file that was cut off can still parse: then a tensor holds fewer bytes than its shape needs."""
    if not is_known_type(tensor):
        detail = f"Tensor {quoted(tensor.name)} has no known element type."
        raise refuse("onnx_invalid", detail, entry=tensor.name or "(unnamed)")
    if is_external(tensor):
        return
    if not tensor.HasField("raw_data"):
        _check_values(tensor)
    elif tensor.data_type != onnx.TensorProto.STRING and len(tensor.raw_data) != (expected := tensor_bytes(tensor)):
        detail = f"Tensor {quoted(tensor.name)} holds {len(tensor.raw_data)} bytes where its shape needs {expected}."
        raise refuse("onnx_invalid", detail, entry=tensor.name or "(unnamed)", hint="The file may be cut off.")


def _check_values(tensor: onnx.TensorProto) -> None:
    """Values in a field of their own type. The format's checker misses it when they are too many."""
    try:
        if tensor.data_type != onnx.TensorProto.STRING:
            numpy_helper.to_array(tensor)
            return
        if len(tensor.string_data) == math.prod(tensor.dims):
            return
    except (ValueError, TypeError):
        pass
    detail = f"Tensor {quoted(tensor.name)} does not hold one value for each of its elements."
    raise refuse("onnx_invalid", detail, entry=tensor.name or "(unnamed)", hint="The file may be cut off.")


def _check_format(model: onnx.ModelProto) -> None:
    """The format's own checker, for the graph and for each weight apart: it takes no more than 2 GB at once."""
    skeleton = without_weights(model)
    names = Counter(weight.name for weight in skeleton.weights)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise refuse("onnx_invalid", f"Two tensors have the name {quoted(twice)}.", entry=twice)
    try:
        check_graph(skeleton)
        for weight in skeleton.weights:
            if not is_external(weight):
                checker.check_tensor(weight)
    except (checker.ValidationError, ValueError, RuntimeError) as error:
        raise refuse("onnx_invalid", quoted(first_line(error))) from error
