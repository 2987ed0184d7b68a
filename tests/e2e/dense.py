"""A small network of MatMuls and data for it: all that int8-accurate does to a model happens to this one."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUTS = 64


def model_bytes(inputs: int = INPUTS) -> bytes:
    """[batch, inputs] float32 `x` -> [batch, 4] float32 `scores`: two products with bias, Relu between them."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, inputs**-0.5, (inputs, 32)),
        "b1": rng.normal(0, 0.1, 32),
        "w2": rng.normal(0, 0.2, (32, 4)),
        "b2": np.zeros(4),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["m1"], name="dense1"),
        helper.make_node("Add", ["m1", "b1"], ["a1"], name="bias1"),
        helper.make_node("Relu", ["a1"], ["r1"], name="relu1"),
        helper.make_node("MatMul", ["r1", "w2"], ["m2"], name="dense2"),
        helper.make_node("Add", ["m2", "b2"], ["scores"], name="bias2"),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(np.asarray(v, dtype=np.float32), k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def rows(count: int, inputs: int = INPUTS) -> np.ndarray[Any, Any]:
    """Normal values, one channel 20 times as large as the others: an outlier, which smoothing is for."""
    values = np.random.default_rng(1).normal(0, 1, (count, inputs)).astype(np.float32)
    values[:, 0] *= 20
    return values


def operators(content: bytes) -> set[str]:
    """`domain:type` of every operator, the standard domain as nothing."""
    return {f"{node.domain}:{node.op_type}" for node in onnx.load_model_from_string(content).graph.node}
