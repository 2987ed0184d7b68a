"""Fold a batch normalization into the convolution before it.

    y = gamma * (conv(x, w) + b - mean) / sqrt(var + eps) + beta
      = conv(x, w * g) + (b - mean) * g + beta      with g = gamma / sqrt(var + eps), one per output channel

ONNX Runtime does this by itself, but not once quantize/dequantize pairs stand between the weight and the convolution.

requires: `lift_constants` ran; a float32 Conv with constant weight and bias, whose only reader is the normalization in
    inference mode with constant parameters, and is not to be kept
ensures: float outputs unchanged to 1e-5 relative; the convolution writes the normalization's output name
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of

DoubleArray = npt.NDArray[np.float64]

Keep = Callable[[ir.Node], bool]
"""Whether a node is to stay as it is, which a recipe may ask."""


def keep_none(_: ir.Node) -> bool:
    return False


def fold_batch_norm(model: ir.Model, *, keep: Keep = keep_none) -> list[str]:
    """Returns the names of the convolutions that took one in."""
    touched = []
    for norm in [n for n in model.graph if n.op_type == "BatchNormalization" and n.domain == "" and not keep(n)]:
        conv = _convolution_before(norm)
        parameters = _parameters(norm)
        if conv is not None and parameters is not None:
            _fold(model.graph, conv, norm, parameters)
            touched.append(conv.name or "")
    drop_unused_initializers(model.graph)
    return touched


def sole_reader_follows(value: ir.Value) -> bool:
    """True when one operator reads the value and the caller of the model does not."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def rewire_output(graph: ir.Graph, producer: ir.Node, absorbed: ir.Node) -> None:
    """Let `producer` write what `absorbed` wrote, under the same name, and remove `absorbed`."""
    old, kept = absorbed.outputs[0], producer.outputs[0]
    name, shape, kind = old.name, old.shape, old.type
    ir.convenience.replace_all_uses_with(old, kept, replace_graph_outputs=True)
    graph.remove(absorbed, safe=True)
    kept.name, kept.shape, kept.type = name, shape, kind


def _convolution_before(norm: ir.Node) -> ir.Node | None:
    value = norm.inputs[0]
    conv = value.producer() if value is not None else None
    if value is None or conv is None or conv.op_type != "Conv" or conv.domain != "" or conv.graph is not norm.graph:
        return None
    has_bias = len(conv.inputs) > 2 and conv.inputs[2] is not None
    constant = float_constant_of(conv.inputs[1]) is not None
    constant &= not has_bias or float_constant_of(conv.inputs[2]) is not None
    return conv if constant and sole_reader_follows(value) else None


def _parameters(norm: ir.Node) -> tuple[DoubleArray, DoubleArray] | None:
    """(g, beta - mean * g), both [channels], computed in double; None when they are not constant."""
    arrays = [float_constant_of(v) for v in norm.inputs[1:5]]
    training = norm.attributes.get_int("training_mode", 0)
    if training or len(arrays) < 4 or any(a is None for a in arrays):
        return None
    gamma, beta, mean, var = (a.astype(np.float64) for a in arrays if a is not None)
    gain = gamma / np.sqrt(var + norm.attributes.get_float("epsilon", 1e-5))
    return gain, beta - mean * gain


def _fold(graph: ir.Graph, conv: ir.Node, norm: ir.Node, parameters: tuple[DoubleArray, DoubleArray]) -> None:
    gain, offset = parameters
    weight_value = conv.inputs[1]
    weight = float_constant_of(weight_value)
    assert weight is not None
    assert weight_value is not None
    bias = float_constant_of(conv.inputs[2]) if len(conv.inputs) > 2 else None
    # [out, in, ...] * [out, 1, ...]
    folded = (weight * gain.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
    shifted = (offset if bias is None else bias * gain + offset).astype(np.float32)
    conv.replace_input_with(1, add_constant(graph, f"{weight_value.name}_folded", folded))
    conv.resize_inputs(3)
    conv.replace_input_with(2, add_constant(graph, f"{conv.name}_bias", shifted))
    rewire_output(graph, conv, norm)
