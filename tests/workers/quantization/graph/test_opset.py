import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn
from workers.quantization.graph.opset import OpsetNotConvertible, default_opset, raise_opset


@pytest.mark.parametrize("opset", [9, 10, 11, 12])
def test_an_old_model_keeps_its_output(opset: int) -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 3, 3), k=(4, 5), b=(5,))
    nodes = [
        n("Conv", ["x", "w"], ["c"], name="conv"),
        n("GlobalAveragePool", ["c"], ["p"], name="pool"),
        n("Squeeze", ["p"], ["s"], name="squeeze", axes=[2, 3]),
        n("Gemm", ["s", "k", "b"], ["g"], name="gemm"),
        n("Softmax", ["g"], ["y"], name="softmax", axis=1),
    ]
    old = model_of(nodes, weights, inputs={"x": ["n", 3, 8, 8]}, outputs={"y": ["n", 5]}, opset=opset, ir_version=4)
    new = raise_opset(old)
    assert default_opset(new) == 13
    onnx.checker.check_model(new, full_check=True)
    x = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    outputs = [ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (old, new)]
    np.testing.assert_allclose(*outputs, rtol=1e-6)


def test_a_new_model_is_left_alone() -> None:
    model = residual_cnn()
    assert raise_opset(model) is model


def test_what_cannot_be_converted_is_a_fact_with_a_reason() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Upsample", ["x", "s"], ["y"], name="up", mode="nearest"),
            helper.make_node("NoSuch", ["y"], ["z"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 1, 2, 2]), helper.make_tensor_value_info("s", 1, [4])],
        [helper.make_tensor_value_info("z", 1, None)],
    )
    with pytest.raises(OpsetNotConvertible, match=r"\w"):
        raise_opset(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4))
