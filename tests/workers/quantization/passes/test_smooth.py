"""Factors go out of a tensor and into the weights that it meets; the output must not notice."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.passes.smooth import smooth

n = helper.make_node
FACTORS = np.geomspace(1.0 / 64.0, 64.0, 8).astype(np.float32)


def smoothed(model: onnx.ModelProto, tensor: str, *readers: str, factors: Any = FACTORS) -> tuple[onnx.ModelProto, str]:
    graph = lift_constants(ir.from_proto(model))
    seen = smooth(graph, tensor, readers, factors)
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto, seen


def outputs(model: onnx.ModelProto, x: Any, names: Any = None) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(names, {"x": x})


def same_output(model: onnx.ModelProto, changed: onnx.ModelProto, *shape: int) -> None:
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    for before, after in zip(outputs(model, x), outputs(changed, x), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * np.abs(before).max())


def constant(model: onnx.ModelProto, node: str, index: int) -> Any:
    name = next(n for n in model.graph.node if n.name == node).input[index]
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def product(op_type: str, **attributes: Any) -> onnx.ModelProto:
    """One product of x, [4, 8], with a weight of 3 columns."""
    shape = (3, 8) if attributes.get("transB") else (8, 3)
    weights = random_weights(np.random.default_rng(0), w=shape, b=(3,))
    inputs = ["x", "w"] if op_type == "MatMul" else ["x", "w", "b"]
    if op_type == "MatMul":
        del weights["b"]
    nodes = [n(op_type, inputs, ["y"], name="p", **attributes)]
    return model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs={"y": ["n", 3]})


@pytest.mark.parametrize(
    "model",
    [product("MatMul"), product("Gemm"), product("Gemm", transB=0), product("Gemm", transB=1)],
    ids=["MatMul", "Gemm", "transB=0", "transB=1"],
)
def test_a_product_is_what_it_was(model: onnx.ModelProto) -> None:
    changed, seen = smoothed(model, "x", "p")
    same_output(model, changed, 4, 8)
    assert seen == "x_smoothed"
    before, after = constant(model, "p", 1), constant(changed, "p", 1)
    along = 1 if after.shape == (3, 8) else 0
    ratio = np.moveaxis(after / before, along, -1)
    np.testing.assert_allclose(ratio, np.broadcast_to(FACTORS, ratio.shape), rtol=1e-6)


def test_the_readers_see_the_tensor_divided_by_the_factors() -> None:
    changed, seen = smoothed(product("MatMul"), "x", "p")
    changed.graph.output.append(helper.make_tensor_value_info(seen, onnx.TensorProto.FLOAT, None))
    x = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)
    np.testing.assert_allclose(outputs(changed, x, [seen])[0], x / FACTORS, rtol=1e-6)


def test_one_multiplication_serves_several_readers_and_others_keep_the_tensor() -> None:
    weights = random_weights(np.random.default_rng(0), wq=(8, 4), wk=(8, 4), wo=(8, 4))
    nodes = [
        n("Relu", ["x"], ["h"], name="relu"),
        *(n("MatMul", ["h", f"w{name}"], [f"y{name}"], name=name) for name in "qko"),
        n("Add", ["h", "h"], ["twice"], name="residual"),
    ]
    wanted = {"yq": ["n", 4], "yk": ["n", 4], "yo": ["n", 4], "twice": ["n", 8]}
    model = model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs=wanted)
    changed, seen = smoothed(model, "h", "q", "k")
    same_output(model, changed, 4, 8)
    assert operators(changed).count("Mul") == 1
    first = {node.name: node.input[0] for node in changed.graph.node}
    assert first == {"relu": "x", "h_smooth": "h", "q": seen, "k": seen, "o": "h", "residual": "h"}
    assert constant(changed, "o", 1).tobytes() == weights["wo"].tobytes()


def test_a_weight_that_another_operator_reads_too_stays_there_as_it_was() -> None:
    weights = random_weights(np.random.default_rng(0), w=(8, 8))
    nodes = [n("MatMul", ["x", "w"], ["h"], name="one"), n("MatMul", ["h", "w"], ["y"], name="two")]
    model = model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs={"y": ["n", 8]})
    changed, _ = smoothed(model, "h", "two")
    same_output(model, changed, 4, 8)
    assert constant(changed, "one", 1).tobytes() == weights["w"].tobytes()


def normalized(*readers: str, bias: bool = True, residual: bool = False, output: bool = False) -> onnx.ModelProto:
    """LayerNormalization h, and products of it; maybe a residual sum that reads it too, or h as an output."""
    shapes = {"g": (8,), **({"b": (8,)} if bias else {}), **{f"w{r}": (8, 8) for r in readers}}
    weights = random_weights(np.random.default_rng(0), **shapes)
    nodes = [
        n("LayerNormalization", ["x", *weights.keys() & {"g"}, *(["b"] if bias else [])], ["h"], name="norm"),
        *(n("MatMul", ["h", f"w{r}"], [f"y{r}"], name=r) for r in readers),
        *([n("Add", ["h", f"y{readers[0]}"], ["s"], name="residual")] if residual else []),
    ]
    wanted = {f"y{r}": ["n", 8] for r in readers} | ({"s": ["n", 8]} if residual else {})
    wanted |= {"h": ["n", 8]} if output else {}
    return model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs=wanted)


@pytest.mark.parametrize("bias", [True, False])
def test_a_normalization_that_nobody_else_reads_takes_the_factors_in(bias: bool) -> None:
    model = normalized("q", "k", bias=bias)
    changed, seen = smoothed(model, "h", "q", "k")
    same_output(model, changed, 4, 8)
    assert seen == "h"
    assert operators(changed) == operators(model)
    np.testing.assert_allclose(constant(changed, "norm", 1), constant(model, "norm", 1) / FACTORS, rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "readers"),
    [
        (normalized("q", residual=True), ("q",)),
        (normalized("q", output=True), ("q",)),
        (normalized("q", "k"), ("q",)),
    ],
    ids=["residual", "output", "another product"],
)
def test_a_normalization_that_something_else_reads_stays_as_it_is(model: onnx.ModelProto, readers: Any) -> None:
    changed, seen = smoothed(model, "h", *readers)
    same_output(model, changed, 4, 8)
    assert seen == "h_smoothed"
    assert operators(changed).count("Mul") == 1
    assert constant(changed, "norm", 1).tobytes() == constant(model, "norm", 1).tobytes()


def test_no_constant_is_left_that_nobody_reads() -> None:
    changed, _ = smoothed(normalized("q"), "h", "q")
    read = {name for node in changed.graph.node for name in node.input}
    assert {t.name for t in changed.graph.initializer} <= read


def test_tokens_of_three_axes_are_divided_along_the_last() -> None:
    weights = random_weights(np.random.default_rng(0), w=(8, 3))
    model = model_of(
        [n("MatMul", ["x", "w"], ["y"], name="p")], weights, inputs={"x": ["n", "t", 8]}, outputs={"y": ["n", "t", 3]}
    )
    changed, _ = smoothed(model, "x", "p")
    same_output(model, changed, 2, 5, 8)
