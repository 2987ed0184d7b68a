"""Tensors between the model's message and files: read into it, or moved to where they may leave it."""

import onnx

from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.external_data import extent_of
from workers.quantization.graph.skeleton import tensor_bytes

_SMALLEST_EXTERNAL_BYTES = 1024

_INITIALIZERS_STAND_ALONE = 4  # the first IR version in which an initializer need not be an input as well


def is_large_weight(tensor: onnx.TensorProto) -> bool:
    """Smaller tensors stay in the model: shape inference and graph optimizers read them there."""
    return tensor.data_type != onnx.TensorProto.STRING and tensor_bytes(tensor) >= _SMALLEST_EXTERNAL_BYTES


def bring_in(tensor: onnx.TensorProto, files: FilesBeside) -> None:
    """requires: the rules of `external_data`"""
    tensor.raw_data = b"".join(files.chunks(*extent_of(tensor)))
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def lift_large_constants(model: onnx.ModelProto) -> None:
    """Constant nodes of the main graph become initializers, which may lie in the data file."""
    for index in reversed(range(len(model.graph.node))):
        node = model.graph.node[index]
        value = _constant(node)
        if value is None or not is_large_weight(value):
            continue
        lifted = model.graph.initializer.add()
        lifted.CopyFrom(value)
        lifted.name = node.output[0]
        model.ir_version = max(model.ir_version, _INITIALIZERS_STAND_ALONE)
        del model.graph.node[index]


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant" or node.domain not in {"", "ai.onnx"}:
        return None
    return next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)
