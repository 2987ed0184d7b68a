"""Take the mean error of a layer's output channels out of its bias.

Rules
1. Conv and Gemm: input 2, which is added when the layer has none.
2. MatMul: the constant of the Add that alone reads the product. Without such an Add the layer stays as it is: one more
   pass over the output would cost more than it mends.

requires: `lift_constants` ran; the layer is a float32 Conv, Gemm or MatMul of the main graph
ensures: the layer's output falls by `mean_error` for each channel, exactly; nothing else changes
"""

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, float_constant_of
from workers.quantization.passes.fold_batch_norm import sole_reader_follows


def correct_bias(graph: ir.Graph, node: ir.Node, mean_error: npt.NDArray[np.float64]) -> bool:
    """True when the layer has a bias to correct. mean_error: E[quantized - float], [channels]."""
    holder = _holder_of_bias(node)
    if holder is None:
        return False
    owner, index = holder
    owner.resize_inputs(max(len(owner.inputs), index + 1))
    bias = float_constant_of(owner.inputs[index])
    corrected = (0.0 if bias is None else bias.astype(np.float64)) - mean_error
    owner.replace_input_with(index, add_constant(graph, f"{node.name}_bias_corrected", corrected.astype(np.float32)))
    return True


def has_correctable_bias(node: ir.Node) -> bool:
    return _holder_of_bias(node) is not None


def _holder_of_bias(node: ir.Node) -> tuple[ir.Node, int] | None:
    """Whose input the bias is, and which."""
    if node.op_type in {"Conv", "Gemm"}:
        present = len(node.inputs) > 2 and node.inputs[2] is not None
        fits = not present or float_constant_of(node.inputs[2]) is not None
        return (node, 2) if fits else None
    value = node.outputs[0]
    if not sole_reader_follows(value):
        return None
    (reader,) = value.consumers()
    if reader.op_type != "Add":
        return None
    index = 1 if reader.inputs[0] is value else 0
    constant = float_constant_of(reader.inputs[index])
    weight = float_constant_of(node.inputs[1])
    if constant is None or weight is None or constant.shape != (weight.shape[-1],):
        return None
    return reader, index
