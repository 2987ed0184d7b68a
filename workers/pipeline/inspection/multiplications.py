"""How many products one sample costs: the measure by which the time of jobs with different models is compared.

    Conv            elements out * channels in / group * kernel
    ConvTranspose   elements in * channels out / group * kernel
    MatMul, Gemm    elements out * length of the sums
    LSTM, GRU, RNN  steps * directions * gates * hidden * (channels in + hidden)

Open extents are given numbers first. Additions, activations and everything else count for nothing.
"""

import math
from collections.abc import Callable, Mapping

import onnx

from app.contracts.inspection import Dimension, ModelInspection
from workers.ingestion.onnx_model.walk import every_node
from workers.pipeline.inspection.settled_shapes import Shape, settled_shapes
from workers.quantization.graph.skeleton import without_weights

IMAGE_EXTENT = 224
OTHER_EXTENT = 128
"""Of texts, in tokens, and of anything else that a model leaves open."""

Shapes = Mapping[str, Shape]


class _Unknown(Exception):
    """Some operator's share cannot be told from shapes."""


def multiplications_per_sample(model: onnx.ModelProto, facts: ModelInspection) -> int | None:
    """None where shapes stay unknown, or where heavy operators lie in branches and loops."""
    if not _all_are_at_the_top(model):
        return None
    extents = _assumed_extents(facts)
    skeleton = without_weights(model).model
    shapes = settled_shapes(skeleton, extents)
    try:
        total = sum(_COUNTED[node.op_type](node, shapes) for node in skeleton.graph.node if node.op_type in _COUNTED)
    except _Unknown:
        return None
    return math.ceil(total / max((shape[0] for shape in extents.values() if shape), default=1))


def _all_are_at_the_top(model: onnx.ModelProto) -> bool:
    top = sum(node.op_type in _COUNTED for node in model.graph.node)
    everywhere = [node.op_type for node in every_node(model)]
    return top == sum(op in _COUNTED for op in everywhere) and _NOT_COUNTED.isdisjoint(everywhere)


def _assumed_extents(facts: ModelInspection) -> dict[str, Shape]:
    """One sample, where the model leaves their number open; the same name is the same extent everywhere."""
    by_name: dict[str, int] = {}

    def extent(told: Dimension, axis: int, rank: int) -> int:
        return told if isinstance(told, int) else by_name.setdefault(told, _assumed(axis, rank, facts))

    return {
        spec.name: tuple(extent(told, axis, len(spec.shape)) for axis, told in enumerate(spec.shape))
        for spec in facts.inputs
    }


def _assumed(axis: int, rank: int, facts: ModelInspection) -> int:
    if axis == 0:
        return 1
    if rank == 4:
        images = facts.image_preparation
        return IMAGE_EXTENT if images is None else max(images.height, images.width)
    longest = facts.tokenizer.max_length if facts.tokenizer else None
    return min(longest or OTHER_EXTENT, OTHER_EXTENT)


def _of(shapes: Shapes, name: str, *, rank: int = 1) -> Shape:
    shape = shapes.get(name)
    if shape is None or len(shape) < rank:
        raise _Unknown
    return shape


def _convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    weight = _of(shapes, node.input[1], rank=2)  # [out, in / group, kernel...]
    return math.prod(_of(shapes, node.output[0])) * math.prod(weight[1:])


def _transposed_convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    weight = _of(shapes, node.input[1], rank=2)  # [in, out / group, kernel...]
    return math.prod(_of(shapes, node.input[0])) * math.prod(weight[1:])


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    return math.prod(_of(shapes, node.output[0], rank=0)) * _of(shapes, node.input[0])[-1]


def _gemm(node: onnx.NodeProto, shapes: Shapes) -> int:
    transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transA"), 0)
    return math.prod(_of(shapes, node.output[0])) * _of(shapes, node.input[0], rank=2)[0 if transposed else 1]


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    steps, batch, channels = _of(shapes, node.input[0], rank=3)[:3]  # layout 1 swaps the first two: the same product
    recurrence = _of(shapes, node.input[2], rank=3)  # [directions, gates * hidden, hidden]
    return steps * batch * math.prod(recurrence[:2]) * (channels + recurrence[2])


_COUNTED: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "MatMul": _product,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
_NOT_COUNTED = frozenset({"Einsum", "DeformConv", "Attention", "DFT", "STFT"})
_HEAVY = frozenset(_COUNTED) | _NOT_COUNTED
