"""Models small enough to reason about, made by hand."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model_of(
    nodes: Any, weights: Any, *, inputs: Any, outputs: Any, opset: int = 17, ir_version: int = 9
) -> onnx.ModelProto:
    """A checked model. `inputs` and `outputs`: name -> shape, all float32; `weights`: name -> array."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    onnx.checker.check_model(model, full_check=True)
    return model


def random_weights(rng: Any, **shapes: Any) -> dict[str, Any]:
    """Arrays of small normal numbers by name."""
    return {name: (rng.normal(size=shape) * 0.3).astype(np.float32) for name, shape in shapes.items()}


def residual_cnn(opset: int = 17) -> onnx.ModelProto:
    """conv-bn-relu, a residual block, max pool, conv-clip, average pool, gemm: [n, 3, 8, 8] -> [n, 5]."""
    rng = np.random.default_rng(0)
    n = helper.make_node
    nodes = [
        n("Conv", ["x", "w1"], ["c1"], name="stem", pads=[1, 1, 1, 1]),
        n("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"], name="norm"),
        n("Relu", ["n1"], ["r1"], name="relu1"),
        n("Conv", ["r1", "w2", "b2"], ["c2"], name="branch", pads=[1, 1, 1, 1]),
        n("Add", ["c2", "r1"], ["a"], name="residual"),
        n("Relu", ["a"], ["r2"], name="relu2"),
        n("MaxPool", ["r2"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        n("Conv", ["p", "w3", "b3"], ["c3"], name="last", pads=[1, 1, 1, 1]),
        n("Clip", ["c3", "zero", "six"], ["r3"], name="clip"),
        n("GlobalAveragePool", ["r3"], ["q"], name="average"),
        n("Flatten", ["q"], ["f"], name="flatten"),
        n("Gemm", ["f", "w4", "b4"], ["y"], name="head", transB=1),
    ]
    weights = random_weights(
        rng,
        w1=(8, 3, 3, 3),
        w2=(8, 8, 3, 3),
        b2=(8,),
        w3=(16, 8, 3, 3),
        b3=(16,),
        w4=(5, 16),
        b4=(5,),
        g=(8,),
        b=(8,),
        m=(8,),
    )
    weights |= {"v": np.linspace(0.5, 2.0, 8, dtype=np.float32), "zero": np.float32(0.0), "six": np.float32(6.0)}
    weights = {k: np.asarray(v) for k, v in weights.items()}
    return model_of(nodes, weights, inputs={"x": ["n", 3, 8, 8]}, outputs={"y": ["n", 5]}, opset=opset)


def two_matmuls() -> onnx.ModelProto:
    """Two products with a relu between: [n, t, 16] -> [n, t, 4], like the feed-forward block of a transformer."""
    rng = np.random.default_rng(1)
    n = helper.make_node
    nodes = [
        n("MatMul", ["x", "w1"], ["h"], name="up"),
        n("Relu", ["h"], ["r"], name="relu"),
        n("MatMul", ["r", "w2"], ["o"], name="down"),
        n("Add", ["o", "b"], ["y"], name="bias"),
    ]
    weights = random_weights(rng, w1=(16, 32), w2=(32, 4), b=(4,))
    return model_of(nodes, weights, inputs={"x": ["n", "t", 16]}, outputs={"y": ["n", "t", 4]})
