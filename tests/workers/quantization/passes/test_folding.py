from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.fold_bias_add import fold_bias_add
from workers.quantization.passes.fuse_gelu import fuse_gelu
from workers.quantization.passes.lift_constants import lift_constants


def run(model: onnx.ModelProto, **feeds: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(None, feeds)


def image(*shape: Any) -> Any:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def operators(model: onnx.ModelProto) -> list[str]:
    return [n.op_type for n in model.graph.node]


def test_a_batch_norm_vanishes_into_its_convolution_and_the_output_stays() -> None:
    model = residual_cnn()
    graph = lift_constants(ir.from_proto(model))
    assert fold_batch_norm(graph) == ["stem"]
    folded = ir.to_proto(graph)
    onnx.checker.check_model(folded, full_check=True)
    x = image(4, 3, 8, 8)
    np.testing.assert_allclose(run(folded, x=x)[0], run(model, x=x)[0], rtol=1e-5, atol=1e-5)
    assert "BatchNormalization" not in operators(folded)
    assert folded.graph.node[0].output[0] == "n1"


def test_a_batch_norm_stays_when_something_else_reads_the_convolution() -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 1, 1), g=(4,), b=(4,), m=(4,)) | {
        "v": np.ones(4, np.float32)
    }
    nodes = [
        n("Conv", ["x", "w"], ["c"], name="conv"),
        n("BatchNormalization", ["c", "g", "b", "m", "v"], ["o"], name="norm"),
        n("Add", ["o", "c"], ["y"], name="add"),
    ]
    model = model_of(nodes, weights, inputs={"x": ["n", 3, 4, 4]}, outputs={"y": ["n", 4, 4, 4]})
    assert fold_batch_norm(lift_constants(ir.from_proto(model))) == []


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (4, 1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("constant_first", [False, True])
def test_a_constant_per_channel_becomes_the_bias(shape: Any, constant_first: bool) -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 3, 3), k=shape, b=(4,))
    inputs = ["k", "c"] if constant_first else ["c", "k"]
    nodes = [n("Conv", ["x", "w", "b"], ["c"], name="conv"), n("Add", inputs, ["y"], name="add")]
    model = model_of(nodes, weights, inputs={"x": ["n", 3, 6, 6]}, outputs={"y": ["n", 4, 4, 4]})
    graph = lift_constants(ir.from_proto(model))
    assert fold_bias_add(graph) == ["conv"]
    folded = ir.to_proto(graph)
    assert operators(folded) == ["Conv"]
    x = image(2, 3, 6, 6)
    np.testing.assert_allclose(run(folded, x=x)[0], run(model, x=x)[0], rtol=1e-6, atol=1e-6)


def test_a_constant_per_pixel_is_no_bias() -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 3, 3), k=(1, 4, 4, 4))
    nodes = [n("Conv", ["x", "w"], ["c"], name="conv"), n("Add", ["c", "k"], ["y"], name="add")]
    model = model_of(nodes, weights, inputs={"x": ["n", 3, 6, 6]}, outputs={"y": ["n", 4, 4, 4]})
    assert fold_bias_add(lift_constants(ir.from_proto(model))) == []


def test_a_node_that_is_to_be_kept_is_folded_into_nothing() -> None:
    norm = lift_constants(ir.from_proto(residual_cnn()))
    assert fold_batch_norm(norm, keep=lambda node: node.name == "norm") == []
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 3, 3), k=(1, 4, 1, 1))
    nodes = [n("Conv", ["x", "w"], ["c"], name="conv"), n("Add", ["c", "k"], ["y"], name="add")]
    model = model_of(nodes, weights, inputs={"x": ["n", 3, 6, 6]}, outputs={"y": ["n", 4, 4, 4]})
    assert fold_bias_add(lift_constants(ir.from_proto(model)), keep=lambda node: node.op_type == "Add") == []


def test_nodes_without_a_name_are_called_by_operator_and_output() -> None:
    """Not by a number, which other nodes would change."""
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["y"])]
    lifted = lift_constants(ir.from_proto(model_of(nodes, {}, inputs={"x": [2]}, outputs={"y": [2]})))
    assert [node.name for node in lifted.graph] == ["Relu_r", "Neg_y"]


def test_weights_behind_constant_and_identity_nodes_become_initializers() -> None:
    w = random_weights(np.random.default_rng(0), w=(3, 2))["w"]
    nodes = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(w, "k")),
        helper.make_node("Identity", ["k"], ["i"]),
        helper.make_node("MatMul", ["x", "i"], ["m"]),
        helper.make_node("Identity", ["m"], ["y"]),
    ]
    model = model_of(nodes, {}, inputs={"x": ["n", 3]}, outputs={"y": ["n", 2]})
    lifted = ir.to_proto(lift_constants(ir.from_proto(model)))
    assert operators(lifted) == ["MatMul"]
    assert lifted.graph.node[0].name
    assert [o.name for o in lifted.graph.output] == ["y"]
    x = image(2, 3)
    np.testing.assert_array_equal(run(lifted, x=x)[0], run(model, x=x)[0])


def test_initializers_listed_as_inputs_are_no_inputs_any_more() -> None:
    w = random_weights(np.random.default_rng(0), w=(3, 2))["w"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
        "old",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    lifted = lift_constants(ir.from_proto(model))
    assert [v.name for v in lifted.graph.inputs] == ["x"]


def spelled_gelu(*, factor: float = 0.5, watched: bool = False) -> onnx.ModelProto:
    n = helper.make_node
    nodes = [
        n("Div", ["x", "root"], ["d"], name="scale"),
        n("Erf", ["d"], ["e"], name="erf"),
        n("Add", ["e", "one"], ["a"], name="plus"),
        n("Mul", ["x", "a"], ["p"], name="product"),
        n("Mul", ["p", "half"], ["y"], name="half_of_it"),
    ]
    weights = {"root": np.sqrt(2.0), "one": 1.0, "half": factor}
    arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    outputs = {"y": ["n", 8], "e": ["n", 8]} if watched else {"y": ["n", 8]}
    return model_of(nodes, arrays, inputs={"x": ["n", 8]}, outputs=outputs, opset=20)


def test_a_spelled_gelu_becomes_one_operator() -> None:
    model = spelled_gelu()
    graph = lift_constants(ir.from_proto(model))
    assert fuse_gelu(graph) == ["erf"]
    fused = ir.to_proto(graph)
    onnx.checker.check_model(fused, full_check=True)
    assert operators(fused) == ["Gelu"]
    x = image(5, 8) * 3
    np.testing.assert_allclose(run(fused, x=x)[0], run(model, x=x)[0], atol=1e-6)


@pytest.mark.parametrize("model", [spelled_gelu(factor=0.6), spelled_gelu(watched=True)], ids=["not half", "watched"])
def test_what_only_looks_like_a_gelu_stays(model: onnx.ModelProto) -> None:
    assert fuse_gelu(lift_constants(ir.from_proto(model))) == []


def test_an_output_that_is_left_out_stays_left_out() -> None:
    # with a name it would be asked for, and ONNX could not tell its type
    node = helper.make_node("Attention", ["q", "k", "v"], ["y", "", "", "scores"])
    shape = [1, 2, 4, 8]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [info(name, TensorProto.FLOAT, shape) for name in "qkv"],
        [info("y", TensorProto.FLOAT, shape), info("scores", TensorProto.FLOAT, [1, 2, 4, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    lifted = ir.to_proto(lift_constants(ir.from_proto(model)))
    assert list(lifted.graph.node[0].output) == ["y", "", "", "scores"]
