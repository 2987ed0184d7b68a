"""One operator alone gives what it gives inside of its model."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.graph.isolated_operator import isolated

n = helper.make_node
IMAGE, ROWS = [2, 4, 7, 5], [6, 8]


def whole(op_type: str, weight: Any, shape: Any, *, bias: bool = True, **attributes: Any) -> onnx.ModelProto:
    channels = 3
    weights = random_weights(np.random.default_rng(0), w=weight, **({"b": (channels,)} if bias else {}))
    node = n(op_type, ["x", *weights], ["y"], name="layer", **attributes)
    rank = len(shape)
    return model_of([node], weights, inputs={"x": shape}, outputs={"y": [f"d{i}" for i in range(rank)]})


@pytest.mark.parametrize(
    "model",
    [
        whole("Conv", (3, 4, 3, 2), IMAGE, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]),
        whole("Conv", (3, 4, 3, 3), IMAGE, bias=False, auto_pad="SAME_UPPER"),
        whole("Gemm", (3, 8), ROWS, transB=1),
        whole("Gemm", (8, 3), ROWS),
        whole("MatMul", (8, 3), ROWS, bias=False),
        whole("MatMul", (8, 3), [2, 3, 8], bias=False),
    ],
    ids=["Conv", "auto_pad", "transB", "Gemm", "MatMul", "tokens"],
)  # fmt: skip
def test_an_operator_alone_gives_what_it_gives_in_its_model(model: onnx.ModelProto) -> None:
    graph = ir.from_proto(model)
    alone = isolated(graph.graph.node("layer"), opset=17)
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    feeds = {"x": x, "weight": weights["w"]} | ({"bias": weights["b"]} if "b" in weights else {})
    (found,) = ort.InferenceSession(alone.SerializeToString()).run(["y"], feeds)
    (expected,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_model_keeps_its_operator() -> None:
    graph = ir.from_proto(whole("Gemm", (8, 3), ROWS))
    before = ir.to_proto(graph).SerializeToString()
    isolated(graph.graph.node("layer"), opset=17)
    assert ir.to_proto(graph).SerializeToString() == before
