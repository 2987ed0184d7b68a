"""Fold the addition of a constant per channel into the convolution before it.

    conv(x, w) + c, c of shape [1, channels, 1, ...]  ->  conv(x, w, bias=c)

Exports of Paddle write every bias like this. An integer convolution takes its bias in 32 bits at no cost, while an Add
between the convolution and the next quantize would keep the whole convolution in float.

requires: `lift_constants` ran; a float32 Conv with constant weight and bias (or none), whose only reader is the Add,
    which is not to be kept
ensures: float outputs unchanged to 1e-6 relative; the convolution writes the Add's output name
"""

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of
from workers.quantization.passes.fold_batch_norm import Keep, keep_none, rewire_output, sole_reader_follows


def fold_bias_add(model: ir.Model, *, keep: Keep = keep_none) -> list[str]:
    """Returns the names of the convolutions that took a bias in."""
    touched = []
    for add in [n for n in model.graph if n.op_type == "Add" and n.domain == "" and not keep(n)]:
        found = _convolution_and_constant(add)
        if found is not None:
            conv, constant = found
            _fold(model.graph, conv, add, constant)
            touched.append(conv.name or "")
    drop_unused_initializers(model.graph)
    return touched


def _convolution_and_constant(add: ir.Node) -> tuple[ir.Node, npt.NDArray[np.float32]] | None:
    for value, other in (add.inputs, tuple(reversed(add.inputs))):
        constant = float_constant_of(other)
        conv = value.producer() if value is not None else None
        if value is None or conv is None or constant is None:
            continue
        if conv.op_type != "Conv" or conv.domain != "" or conv.graph is not add.graph or not sole_reader_follows(value):
            continue
        bias = _as_channels(constant, conv)
        if bias is not None:
            return conv, bias
    return None


def _as_channels(constant: npt.NDArray[np.float32], conv: ir.Node) -> npt.NDArray[np.float32] | None:
    """[1, C, 1, ...] or [C, 1, ...] -> [C]; None when it varies along anything but the channels."""
    weight = float_constant_of(conv.inputs[1])
    if weight is None:
        return None
    spatial = weight.ndim - 2
    shape = (1,) * (weight.ndim - constant.ndim) + constant.shape
    if (
        len(shape) != weight.ndim
        or shape[0] != 1
        or shape[2:] != (1,) * spatial
        or shape[1] not in {1, weight.shape[0]}
    ):
        return None
    has_bias = len(conv.inputs) > 2 and conv.inputs[2] is not None
    previous = float_constant_of(conv.inputs[2]) if has_bias else np.zeros(weight.shape[0], np.float32)
    return None if previous is None else (previous + constant.reshape(-1)).astype(np.float32)


def _fold(graph: ir.Graph, conv: ir.Node, add: ir.Node, bias: npt.NDArray[np.float32]) -> None:
    conv.resize_inputs(3)
    conv.replace_input_with(2, add_constant(graph, f"{conv.name}_bias", bias))
    rewire_output(graph, conv, add)
