"""From one weighted operator to the next: where the scale of a channel passes through what stands between.

On the way is only what gives s * y for s * x, channel by channel and for every s > 0:

1. Relu, LeakyRelu, PRelu; Clip if it cuts nothing but one side of zero. Clip(0, 6) is refused: 6 would have to become
   another number for each channel.
2. MaxPool, AveragePool, their global forms, ReduceMean over the positions.
3. Flatten and Reshape of [n, c, h, w] to [n, c * h * w]: each channel becomes h * w neighbouring features.
4. Add of a constant to features: it is scaled along.

Every tensor on the way has one reader and is no output of the model; otherwise somebody would see the scale.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from workers.quantization.graph.constants import constant_of, float_constant_of
from workers.quantization.graph.weighted_operators import is_standard

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

_ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "PRelu", "Clip", "Identity"})
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"})
_UNBOUNDED = float(np.finfo(np.float32).max)

Layout = Literal["image", "flattened", "features"]
"""Where the channels are: along axis 1; along the last axis, several neighbours each; along the last axis."""


@dataclass(frozen=True)
class ChannelPath:
    """Two weighted operators between which each channel may have any scale."""

    first: ir.Node
    second: ir.Node
    repeats: int
    """Inputs of `second` for each channel that `first` gives out."""
    addends: tuple[tuple[ir.Node, int], ...] = ()
    """Operators on the way that add a constant, and which of their inputs it is."""


def channel_paths(graph: ir.Graph) -> list[ChannelPath]:
    """All of them, in the order of the graph."""
    found = (_path_from(node) for node in graph if _is_layer(node))
    return [path for path in found if path is not None]


def input_channels(layer: ir.Node) -> int:
    """How many channels or features a layer reads."""
    shape = _weight_shape(layer)
    match layer.op_type:
        case "Conv":
            return shape[1] * layer.attributes.get_int("group", 1)
        case "Gemm" if layer.attributes.get_int("transB", 0):
            return shape[1]
        case _:
            return shape[0]


def output_channels(layer: ir.Node) -> int:
    shape = _weight_shape(layer)
    match layer.op_type:
        case "Conv":
            return shape[0]
        case "ConvTranspose":
            return shape[1] * layer.attributes.get_int("group", 1)
        case "Gemm" if layer.attributes.get_int("transB", 0):
            return shape[0]
        case _:
            return shape[1]


def _path_from(first: ir.Node) -> ChannelPath | None:
    channels = output_channels(first)
    layout: Layout | None = "image" if first.op_type in {"Conv", "ConvTranspose"} else "features"
    addends: list[tuple[ir.Node, int]] = []
    node = first
    while layout is not None:
        use = _only_use(node)
        if use is None:
            return None
        node, index = use
        if _is_layer(node):
            return _joined(first, node, index, layout, channels, addends)
        if node.op_type == "Add" and layout == "features" and _is_vector(node.inputs[1 - index], channels):
            addends.append((node, 1 - index))
        else:
            layout = _layout_behind(node, index, layout, channels)
    return None


def _joined(
    first: ir.Node, second: ir.Node, index: int, layout: Layout, channels: int, addends: list[tuple[ir.Node, int]]
) -> ChannelPath | None:
    image = second.op_type in {"Conv", "ConvTranspose"}
    repeats, rest = divmod(input_channels(second), channels)
    fits = index == 0 and rest == 0 and image == (layout == "image") and (repeats == 1 or layout == "flattened")
    return ChannelPath(first, second, repeats, tuple(addends)) if fits else None


def _is_layer(node: ir.Node) -> bool:
    """A weighted operator whose weight is its own, and whose weight and bias are finite float constants."""
    if not is_standard(node) or node.op_type not in LAYERS or node.attributes.get_int("transA", 0) != 0:
        return False
    weight, bias = [*node.inputs, None][1:3]
    constants = [float_constant_of(v) for v in (weight, bias) if v is not None]
    if weight is None or len(weight.uses()) != 1 or any(c is None or not np.isfinite(c).all() for c in constants):
        return False
    image = node.op_type in {"Conv", "ConvTranspose"}
    shape = _weight_shape(node)
    return (image or len(shape) == 2) and 0 not in shape


def _weight_shape(layer: ir.Node) -> tuple[int, ...]:
    weight = float_constant_of(layer.inputs[1])
    assert weight is not None
    return weight.shape


def _only_use(node: ir.Node) -> tuple[ir.Node, int] | None:
    """Who reads a node's only result, and as which input; None when there are more of either."""
    value = node.outputs[0]
    if len(node.outputs) != 1 or value.is_graph_output() or len(value.uses()) != 1:
        return None
    (use,) = value.uses()
    return (use.node, use.idx) if use.node.graph is node.graph else None


def _layout_behind(node: ir.Node, index: int, layout: Layout, channels: int) -> Layout | None:
    """Where the channels are behind an operator; None if their scales do not pass through it."""
    if index != 0 or not is_standard(node):
        return None
    if node.op_type in _ACTIVATIONS:
        return layout if _is_homogeneous(node) else None
    if layout != "image":
        return None
    if node.op_type in _POOLS:
        return layout
    if node.op_type == "ReduceMean":
        return _behind_mean(node)
    return "flattened" if _flattens(node, channels) else None


def _is_homogeneous(activation: ir.Node) -> bool:
    if activation.op_type == "PRelu":
        return float_constant_of(activation.inputs[1]) is not None
    if activation.op_type != "Clip":
        return True
    given = [*activation.inputs[1:3], None, None][:2]
    bounds = [constant_of(v) for v in given]
    if any(v is not None and b is None for v, b in zip(given, bounds, strict=True)):
        return False  # computed at run time
    # what Clip was before opset 11 had its bounds as attributes; those are none of ours, opset 13 is required
    return all(b is None or float(b.item()) == 0.0 or abs(float(b.item())) >= _UNBOUNDED for b in bounds)


def _behind_mean(mean: ir.Node) -> Layout | None:
    given = constant_of(mean.inputs[1]) if len(mean.inputs) > 1 else None
    axes = mean.attributes.get_ints("axes", []) if given is None else given.tolist()
    rank = None if mean.inputs[0] is None or mean.inputs[0].shape is None else len(mean.inputs[0].shape)
    over = {a % rank if rank else a for a in axes}
    if 1 in over or 0 in over or not over or (rank is None and min(over) < 0):
        return None
    if mean.attributes.get_int("keepdims", 1):
        return "image"
    # without the rank, who knows whether an axis behind the channels is left
    return "flattened" if rank is not None and over == set(range(2, rank)) else None


def _flattens(node: ir.Node, channels: int) -> bool:
    """True for [n, c, ...] -> [n, c * ...]."""
    if node.op_type == "Flatten":
        return node.attributes.get_int("axis", 1) == 1
    target = constant_of(node.inputs[1]) if node.op_type == "Reshape" else None
    if target is None or target.shape != (2,):
        return False
    rows, columns = target.tolist()
    source = node.inputs[0].shape if node.inputs[0] is not None else None
    if columns == -1:
        keeps_rows = rows == 0 and node.attributes.get_int("allowzero", 0) == 0
        return keeps_rows or (source is not None and source[0] == rows)
    # [-1, columns] keeps the rows only if `columns` is all of a row
    per_row = [] if source is None else list(source)[1:]
    known = [d for d in per_row if isinstance(d, int)]
    return len(known) > 0 and len(known) == len(per_row) and int(np.prod(known)) == columns and columns % channels == 0


def _is_vector(value: ir.Value | None, channels: int) -> bool:
    array = float_constant_of(value)
    return array is not None and array.shape == (channels,) and bool(np.isfinite(array).all())
