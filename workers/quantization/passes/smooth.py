"""Divide a tensor by its smoothing factors, channel by channel, and multiply the weights that it meets by them.

Rules
1. A LayerNormalization that nobody else reads takes the factors into its own scale and bias: no operator is added.
2. Otherwise one Mul by 1 / s serves all readers of the site.

requires: `lift_constants` ran; the readers are MatMul or Gemm with constant float32 weights of two axes, reading the
    tensor as input 0
ensures: float outputs unchanged to 1e-5 relative; names of existing nodes unchanged
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of


def smooth(model: ir.Model, tensor: str, readers: Collection[str], factors: npt.NDArray[np.float32]) -> str:
    """Change `model` in place; returns the name of the tensor that the readers see now.

    readers: names of operators. factors: s, [K].
    """
    graph = model.graph
    nodes = [node for node in graph if node.name in readers and node.inputs[0] is not None]
    value = nodes[0].inputs[0]
    assert value is not None
    assert value.name == tensor
    for node in nodes:
        _scale_weight(graph, node, factors)
    if _absorbed(graph, value, nodes, factors):
        drop_unused_initializers(graph)
        return tensor
    inverse = add_constant(graph, f"{tensor}_inverse_smoothing", (1.0 / factors).astype(np.float32))
    mul = ir.node("Mul", [value, inverse], name=f"{tensor}_smooth")
    mul.outputs[0].name = f"{tensor}_smoothed"
    mul.outputs[0].type, mul.outputs[0].shape = value.type, value.shape
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], mul)
    else:
        graph.insert_after(producer, mul)
    for node in nodes:
        node.replace_input_with(0, mul.outputs[0])
    drop_unused_initializers(graph)
    return mul.outputs[0].name


def _scale_weight(graph: ir.Graph, node: ir.Node, factors: npt.NDArray[np.float32]) -> None:
    value = node.inputs[1]
    weight = float_constant_of(value)
    assert value is not None
    assert weight is not None
    transposed = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
    # [K, N] * [K, 1], or [N, K] * [K]
    scaled = weight * (factors if transposed else factors[:, np.newaxis])
    node.replace_input_with(1, add_constant(graph, f"{value.name}_smoothed", scaled.astype(np.float32)))


def _absorbed(graph: ir.Graph, value: ir.Value, readers: list[ir.Node], factors: npt.NDArray[np.float32]) -> bool:
    """Rule 1."""
    producer = value.producer()
    if producer is None or producer.op_type != "LayerNormalization" or producer.graph is not graph:
        return False
    if value.is_graph_output() or {u.node.name for u in value.uses()} != {n.name for n in readers}:
        return False
    arrays = [float_constant_of(v) for v in producer.inputs[1:]]
    if any(a is None or a.shape != factors.shape for a in arrays):
        return False
    for index, array in enumerate(arrays, start=1):
        source = producer.inputs[index]
        assert array is not None
        assert source is not None
        producer.replace_input_with(index, add_constant(graph, f"{source.name}_smoothed", array / factors))
    return True
