"""ONNX Runtime's own operator in place of three standard ones: the same numbers, fewer passes."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.passes.fuse_integer_matmul import DOMAIN, fuse_integer_matmul

n = helper.make_node
X_SCALE = np.float32(0.02)
TOKENS = ["n", 3, "columns"]


def qdq_model(
    *,
    per_channel: bool = True,
    bias: Any = (4,),
    bias_first: bool = False,
    weight: Any = (16, 4),
    tail: Any = (),
    outputs: Any = None,
) -> onnx.ModelProto:
    """Input, quantize, MatMul with an int8 weight, and the Add of a bias of that shape if there is one."""
    rng = np.random.default_rng(0)
    columns = weight[-1] if per_channel else 1
    constants = {
        "xs": np.asarray(X_SCALE),
        "xz": np.asarray(117, np.uint8),
        # 7 bits: without VNNI the operator adds two products in 16, and wider weights could saturate
        "w": rng.integers(-64, 65, weight).astype(np.int8),
        "ws": np.asarray(rng.uniform(0.001, 0.02, columns), np.float32),
        "wz": np.zeros(columns, np.int8),
        "b": np.asarray(rng.normal(size=bias or (1,)), np.float32),
    }
    if not per_channel:
        constants |= {"ws": constants["ws"][0], "wz": constants["wz"][0]}
    last = "p" if bias is not None else "y"
    axis = {"axis": len(weight) - 1} if per_channel else {}
    nodes = [
        n("QuantizeLinear", ["x", "xs", "xz"], ["xq"], name="x_quantize"),
        n("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], name="x_dequantize"),
        n("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="w_dequantize", **axis),
        n("MatMul", ["xd", "wd"], [last], name="product"),
        *([] if bias is None else [n("Add", ["b", "p"] if bias_first else ["p", "b"], ["y"], name="add")]),
        *tail,
    ]
    if bias is None:
        del constants["b"]
    return model_of(nodes, constants, inputs={"x": ["n", 3, 16]}, outputs={"y": TOKENS, **(outputs or {})})


def fused(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    graph = ir.from_proto(model)
    touched = fuse_integer_matmul(graph)
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto)
    return proto, touched


def run(model: onnx.ModelProto) -> Any:
    """Without ONNX Runtime's own rewriting: the operators run as they are written."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = np.random.default_rng(1).normal(size=(5, 3, 16)).astype(np.float32)
    return ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})


def same(model: onnx.ModelProto, changed: onnx.ModelProto) -> None:
    for before, after in zip(run(model), run(changed), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * np.abs(before).max())


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("bias", [(4,), None])
@pytest.mark.parametrize("bias_first", [True, False])
def test_the_product_says_the_same_as_the_standard_form(per_channel: bool, bias: Any, bias_first: bool) -> None:
    model = qdq_model(per_channel=per_channel, bias=bias, bias_first=bias_first)
    changed, touched = fused(model)
    same(model, changed)
    assert touched == ["product"]
    assert operators(changed) == {"QuantizeLinear": 1, "MatMulIntegerToFloat": 1}
    assert {o.domain for o in changed.opset_import} == {"", DOMAIN}
    assert [o.name for o in changed.graph.output] == ["y"]
    read = {name for node in changed.graph.node for name in node.input}
    assert {t.name for t in changed.graph.initializer} <= read


def test_a_product_that_is_an_output_keeps_its_name_and_its_addition() -> None:
    model = qdq_model(outputs={"p": TOKENS})
    changed, touched = fused(model)
    same(model, changed)
    assert touched == ["product"]
    assert {o.name for o in changed.graph.output} == {"y", "p"}
    assert operators(changed)["Add"] == 1


def test_a_product_with_another_reader_keeps_its_addition() -> None:
    model = qdq_model(tail=[n("Relu", ["p"], ["r"], name="relu")], outputs={"r": TOKENS})
    changed, _ = fused(model)
    same(model, changed)
    assert operators(changed) == {"QuantizeLinear": 1, "MatMulIntegerToFloat": 1, "Add": 1, "Relu": 1}


@pytest.mark.parametrize("shape", [(1,), (1, 4), (3, 4), (3, 1)])
def test_a_constant_that_is_not_one_for_each_column_is_still_added_afterwards(shape: Any) -> None:
    model = qdq_model(bias=shape)
    changed, touched = fused(model)
    same(model, changed)
    assert touched == ["product"]
    assert operators(changed)["Add"] == 1


def test_an_input_that_others_read_too_is_still_dequantized_for_them() -> None:
    model = qdq_model(tail=[n("Relu", ["xd"], ["r"], name="relu")], outputs={"r": TOKENS})
    changed, _ = fused(model)
    same(model, changed)
    assert operators(changed)["DequantizeLinear"] == 1


def test_two_products_of_one_tensor_are_both_replaced() -> None:
    tail = [n("MatMul", ["xd", "wd"], ["z"], name="other")]
    model = qdq_model(tail=tail, outputs={"z": TOKENS})
    changed, touched = fused(model)
    same(model, changed)
    assert touched == ["product", "other"]
    assert operators(changed)["DequantizeLinear"] == 0


def float_product() -> onnx.ModelProto:
    nodes = [n("MatMul", ["x", "w"], ["p"], name="product"), n("Add", ["p", "b"], ["y"], name="add")]
    weights = random_weights(np.random.default_rng(0), w=(16, 4), b=(4,))
    return model_of(nodes, weights, inputs={"x": ["n", 3, 16]}, outputs={"y": TOKENS})


def half_quantized(which: str) -> onnx.ModelProto:
    """The product reads the float tensor on one side."""
    model = qdq_model()
    product = next(node for node in model.graph.node if node.name == "product")
    if which == "data":
        product.input[0] = "x"
    else:
        product.input[1] = "w_float"
        weight = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w_float"))
    return model


@pytest.mark.parametrize(
    "model",
    [
        qdq_model(weight=(3, 16, 4), per_channel=False),
        float_product(),
        half_quantized("data"),
        half_quantized("weight"),
    ],
    ids=["three axes", "float", "float data", "float weight"],
)
def test_what_is_no_product_of_integers_of_two_axes_stays_as_it_is(model: onnx.ModelProto) -> None:
    changed, touched = fused(model)
    assert touched == []
    assert operators(changed) == operators(model)
    assert [o.domain for o in changed.opset_import] == [""]


def test_scales_along_the_rows_of_a_weight_stay_as_they_are() -> None:
    model = qdq_model(weight=(16, 16), bias=None)
    next(node for node in model.graph.node if node.name == "w_dequantize").attribute[0].i = 0
    assert fused(model)[1] == []
