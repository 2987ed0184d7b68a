"""Cross-layer equalization: give the channels between two layers scales that one step size can serve.

Where a channel of the first weight is small and the same channel of the second is large, one scale per tensor loses the
former. `channel_paths` finds the pairs of layers between which a channel may have any scale, `equalization` chooses the
scales. A layer in the middle of a chain is second in one pair and first in the next, so the pairs take turns until
their scales move no more.

Rules
1. Conv, ConvTranspose (groups and depthwise included), Gemm, MatMul: each output channel of the first weight, its bias
   and the constants added on the way are divided by s, the matching inputs of the second weight multiplied.
2. A weight that several operators share is left alone, and so is a channel that is zero on either side.

requires: `lift_constants`, `fold_batch_norm` and `fold_bias_add` ran; opset >= 13
ensures: float outputs unchanged to 1e-5 relative; no operator added, removed or renamed

Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.1.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from workers.quantization.channel_paths import ChannelPath, channel_paths, output_channels
from workers.quantization.equalization import (
    DoubleArray,
    divide_outputs,
    equalizing_scales,
    input_ranges,
    multiply_inputs,
    output_ranges,
)
from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of

_ROUNDS = 20
_CONVERGED = 1e-4  # the largest relative change of any scale in one round


def equalize(model: ir.Model) -> list[str]:
    """Change `model` in place. Returns the names of the layers whose weights changed, in the order of the graph."""
    graph = model.graph
    paths = channel_paths(graph)
    layers = {layer.name or "": layer for path in paths for layer in (path.first, path.second)}
    weights = {name: _as_doubles(layer) for name, layer in layers.items()}
    totals = _settle(paths, {name: _grouped(layers[name], weight) for name, weight in weights.items()})
    for path, scales in zip(paths, totals, strict=True):
        for node, index in _constants(path):
            _replace(graph, node, index, _constant(node, index) / scales)
    for name, weight in weights.items():
        _replace(graph, layers[name], 1, weight)
    drop_unused_initializers(graph)
    return [name for node in graph if (name := node.name or "") in layers]


def _settle(paths: list[ChannelPath], grouped: Mapping[str, DoubleArray]) -> list[DoubleArray]:
    """Equalize every pair in turn, changing the weights, until nothing moves. Returns each pair's product of scales."""
    totals = [np.ones(output_channels(path.first)) for path in paths]
    biases = [_largest_constant(path) for path in paths]
    for _ in range(_ROUNDS):
        moved = 0.0
        for number, path in enumerate(paths):
            first, second = grouped[path.first.name or ""], grouped[path.second.name or ""]
            given = output_ranges(first, biases[number] / totals[number])
            scales = equalizing_scales(given, input_ranges(second, repeats=path.repeats))
            divide_outputs(first, scales)
            multiply_inputs(second, scales, repeats=path.repeats)
            totals[number] = totals[number] * scales
            moved = max(moved, float(np.abs(scales - 1.0).max()))
        if moved < _CONVERGED:
            break
    return totals


def _constants(path: ChannelPath) -> list[tuple[ir.Node, int]]:
    """Where the bias of the first layer is, and what is added behind it."""
    has_bias = len(path.first.inputs) > 2 and path.first.inputs[2] is not None
    return [*([(path.first, 2)] if has_bias else []), *path.addends]


def _largest_constant(path: ChannelPath) -> DoubleArray:
    """The largest magnitude that is added to each channel: [channels]."""
    channels = output_channels(path.first)
    largest = np.zeros(channels)
    for node, index in _constants(path):
        # a Gemm takes anything that broadcasts to [rows, channels]
        added = np.broadcast_to(_constant(node, index), np.broadcast_shapes(_constant(node, index).shape, (channels,)))
        largest = np.maximum(largest, np.abs(added).reshape(-1, channels).max(axis=0))
    return largest


def _constant(node: ir.Node, index: int) -> DoubleArray:
    array = float_constant_of(node.inputs[index])
    assert array is not None
    return array.astype(np.float64)


def _as_doubles(layer: ir.Node) -> DoubleArray:
    # rounds of scaling in float32 would add up their rounding; contiguous, so that reshaping gives views
    return np.ascontiguousarray(_constant(layer, 1))


def _grouped(layer: ir.Node, weight: DoubleArray) -> DoubleArray:
    """A view of the weight as [groups, out / groups, in / groups, positions]."""
    groups = layer.attributes.get_int("group", 1)
    match layer.op_type:
        case "Conv":
            # [out, in / groups, ...]
            return weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        case "ConvTranspose":
            # [in, out / groups, ...]
            return weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1).swapaxes(1, 2)
        case "Gemm" if layer.attributes.get_int("transB", 0):
            return weight[np.newaxis, :, :, np.newaxis]
        case _:
            # [in, out]
            return weight.T[np.newaxis, :, :, np.newaxis]


def _replace(graph: ir.Graph, node: ir.Node, index: int, array: DoubleArray) -> None:
    old = node.inputs[index]
    assert old is not None
    new = add_constant(graph, f"{old.name}_equalized", array.astype(np.float32))
    node.replace_input_with(index, new)
