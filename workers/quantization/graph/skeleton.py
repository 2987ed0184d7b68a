"""A model's graph without its weights: what onnx's tools in C++ are handed, which take messages below 2 GB only.

Weights become inputs of the graph, of the same name, type and shape. Small tensors stay where they are: shape inference
and the version converter read shapes, axes and scales in them.
"""

import math
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx import helper

_SMALLEST_WEIGHT_BYTES = 1024

_KNOWN_TYPES = frozenset(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}


@dataclass(frozen=True)
class Skeleton:
    model: onnx.ModelProto
    weights: tuple[onnx.TensorProto, ...]
    """What was taken out: the messages of the model that came in."""
    inputs: frozenset[str]
    """Those that the model itself declares."""

    def completed(self, changed: onnx.ModelProto) -> onnx.ModelProto:
        """`changed`, which a tool made of the skeleton, with the weights back in it: the same object."""
        lent = {weight.name for weight in self.weights} - self.inputs
        inputs = changed.graph.input
        for index in reversed(range(len(inputs))):
            if inputs[index].name in lent:
                del inputs[index]
        changed.graph.initializer.extend(self.weights)
        return changed


def without_weights(model: onnx.ModelProto) -> Skeleton:
    """The model that comes in stays as it is; no weight is copied.

    requires: tensors of known types, with extents of 0 and more
    """
    graph = onnx.GraphProto()
    _copy_fields(model.graph, graph, but="initializer")
    inputs = frozenset(value.name for value in graph.input)
    weights = []
    for tensor in model.graph.initializer:
        if not _is_weight(tensor):
            graph.initializer.append(tensor)
            continue
        weights.append(tensor)
        if tensor.name not in inputs:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    skeleton = onnx.ModelProto()
    _copy_fields(model, skeleton, but="graph")
    skeleton.graph.CopyFrom(graph)
    return Skeleton(skeleton, tuple(weights), inputs)


def is_known_type(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in _KNOWN_TYPES


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """What the tensor's values take, wherever they are kept. requires: a known type, extents of 0 and more"""
    if tensor.data_type == onnx.TensorProto.STRING:
        return len(b"".join(tensor.string_data))
    bits = int(math.prod(tensor.dims) * ir.DataType(tensor.data_type).bitwidth)
    return -(-bits // 8)


def is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _is_weight(tensor: onnx.TensorProto) -> bool:
    if tensor.data_type == onnx.TensorProto.STRING:
        return False
    return is_external(tensor) or tensor_bytes(tensor) >= _SMALLEST_WEIGHT_BYTES


def _copy_fields(
    source: onnx.ModelProto | onnx.GraphProto, copy: onnx.ModelProto | onnx.GraphProto, *, but: str
) -> None:
    for descriptor, value in source.ListFields():
        if descriptor.name == but:
            continue
        if descriptor.is_repeated:
            getattr(copy, descriptor.name).extend(value)
        elif descriptor.message_type is not None:
            getattr(copy, descriptor.name).CopyFrom(value)
        else:
            setattr(copy, descriptor.name, value)
