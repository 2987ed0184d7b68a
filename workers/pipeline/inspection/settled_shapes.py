"""The shapes of a model's results once its open extents have numbers.

The format's own inference knows some values of shapes but not all: where a reshape follows from `Shape`, `Slice` and
`Concat` it may stop. So what is computed from shapes is worked out here by the format's reference, and the inference
goes on from there, until nothing new is found. Only small values of a few operators are worked out, so that no graph
makes this costly.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from workers.ingestion.onnx_model.bounded_inference import inferred_with_values

Shape = tuple[int, ...]

_NEVER_GROWING = frozenset(
    {
        *(
            "Shape",
            "Size",
            "Identity",
            "Cast",
            "Concat",
            "Gather",
            "Slice",
            "Reshape",
            "Squeeze",
            "Unsqueeze",
            "ReduceProd",
        ),
        *("Abs", "Add", "Ceil", "Div", "Floor", "Max", "Min", "Mod", "Mul", "Neg", "Sub"),
        *("And", "Equal", "Greater", "Less", "Not", "Or", "Where"),
    }
)
_GROWING = frozenset({"ConstantOfShape", "Expand", "Range"})
"""Worked out only where the result is known to be small."""
_MOST_ELEMENTS = 64
_MOST_ROUNDS = 12
_MOST_NODES = 20_000
"""Graphs of more are not looked at: none that is worth quantizing is so fine."""


def settled_shapes(skeleton: onnx.ModelProto, extents: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of every tensor of which it could be found; empty where operators contradict each other.

    skeleton: changed in place; what it notes of results is dropped
    extents: of each input
    """
    graph = skeleton.graph
    for value in graph.input:
        if value.name in extents:
            _note(value, extents[value.name])
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    known = _inferred(skeleton)
    for _ in range(_MOST_ROUNDS if len(graph.node) <= _MOST_NODES else 0):
        if not _work_out(skeleton, known):
            break
        known = _inferred(skeleton)
    return known


def _note(value: onnx.ValueInfoProto, shape: Shape) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    dims.extend(onnx.TensorShapeProto.Dimension(dim_value=extent) for extent in shape)


def _inferred(skeleton: onnx.ModelProto) -> dict[str, Shape]:
    try:
        graph = inferred_with_values(skeleton, strict=False).graph
    except (shape_inference.InferenceError, ValueError, RuntimeError):
        return {}
    known: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(extent.HasField("dim_value") for extent in tensor.shape.dim):
            known[value.name] = tuple(extent.dim_value for extent in tensor.shape.dim)
    return known


def _work_out(skeleton: onnx.ModelProto, known: Mapping[str, Shape]) -> bool:
    """Replace operators of known, small values by initializers. True if there were any."""
    graph = skeleton.graph
    values = _small_constants(graph)
    kept, found = [], {}
    for node in graph.node:
        result = _result(node, values, known, skeleton)
        if result is None:
            kept.append(node)
        else:
            values[node.output[0]] = found[node.output[0]] = result
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in found.items())
    return bool(found)


def _small_constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            tensors.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if math.prod(tensor.dims) <= _MOST_ELEMENTS and tensor.data_type != onnx.TensorProto.STRING
    }


def _result(
    node: onnx.NodeProto,
    values: Mapping[str, NDArray[np.generic]],
    known: Mapping[str, Shape],
    skeleton: onnx.ModelProto,
) -> NDArray[np.generic] | None:
    """What the operator yields, if that follows from shapes and small constants."""
    if not _is_cheap(node, known):
        return None
    given = {name: values[name] for name in node.input if name in values}
    if node.op_type in ("Shape", "Size") and node.input[0] in known:
        # a view of one element that looks like the whole: nothing of its size is held
        given = {node.input[0]: np.broadcast_to(np.float32(0), known[node.input[0]])}
    if len(given) != len({name for name in node.input if name}):
        return None
    try:
        (result,) = map(np.asarray, _evaluator(node, skeleton).run(list(node.output), given))
    except Exception:  # noqa: BLE001  the reference raises whatever it likes; then the result is not known
        return None
    return result if result.size <= _MOST_ELEMENTS else None


def _is_cheap(node: onnx.NodeProto, known: Mapping[str, Shape]) -> bool:
    if node.domain or len(node.output) != 1:
        return False
    if node.op_type in _NEVER_GROWING:
        return True
    return node.op_type in _GROWING and math.prod(known.get(node.output[0], (math.inf,))) <= _MOST_ELEMENTS


def _evaluator(node: onnx.NodeProto, skeleton: onnx.ModelProto) -> ReferenceEvaluator:
    inputs = [onnx.ValueInfoProto(name=name) for name in node.input if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "one", inputs, outputs)
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=skeleton.opset_import))
