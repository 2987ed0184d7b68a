"""A mean error per channel, found by comparing outputs, is gone once the bias took it in."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.passes.correct_bias import correct_bias, has_correctable_bias
from workers.quantization.passes.lift_constants import lift_constants

n = helper.make_node


def layer(op_type: str, *, bias: bool, **attributes: Any) -> onnx.ModelProto:
    """One layer with 5 output channels, and a Relu behind it."""
    shapes = {"Conv": (5, 3, 3, 3), "Gemm": (5, 8), "MatMul": (8, 5)}
    weights = random_weights(np.random.default_rng(0), w=shapes[op_type], **({"b": (5,)} if bias else {}))
    separate = bias and op_type == "MatMul"
    inputs = ["x", "w", "b"] if bias and not separate else ["x", "w"]
    nodes = [
        n(op_type, inputs, ["p" if separate else "h"], name="layer", **attributes),
        *([n("Add", ["b", "p"], ["h"], name="add")] if separate else []),
        n("Relu", ["h"], ["r"], name="relu"),
    ]
    shape = ["n", 3, 6, 6] if op_type == "Conv" else ["n", 8]
    made = ["n", 5, "height", "width"] if op_type == "Conv" else ["n", 5]
    return model_of(nodes, weights, inputs={"x": shape}, outputs={"r": made, "h": made})


def data(model: onnx.ModelProto) -> Any:
    shape = (7, 3, 6, 6) if len(model.graph.input[0].type.tensor_type.shape.dim) == 4 else (50, 8)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def answer(model: onnx.ModelProto) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(["h"], {"x": data(model)})[0]


def with_rounded_weight(model: onnx.ModelProto) -> onnx.ModelProto:
    """The weight in steps of 0.2: so coarse that every channel is off."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    (weight,) = [t for t in changed.graph.initializer if t.name == "w"]
    coarse = np.rint(onnx.numpy_helper.to_array(weight) / 0.2).astype(np.float32) * np.float32(0.2)
    weight.CopyFrom(onnx.numpy_helper.from_array(coarse, "w"))
    return changed


def mean_per_channel(error: Any) -> Any:
    return error.astype(np.float64).mean(axis=tuple(d for d in range(error.ndim) if d != 1))


@pytest.mark.parametrize(
    "model",
    [
        layer("Conv", bias=True), layer("Conv", bias=False), layer("Gemm", bias=True, transB=1),
        layer("Gemm", bias=False, transB=1), layer("MatMul", bias=True),
    ],
    ids=["Conv", "Conv without bias", "Gemm", "Gemm without bias", "MatMul and Add"],
)  # fmt: skip
def test_the_mean_error_of_every_channel_becomes_zero(model: onnx.ModelProto) -> None:
    coarse = with_rounded_weight(model)
    expected, actual = answer(model), answer(coarse)
    error = mean_per_channel(actual - expected)
    assert np.abs(error).max() > 1e-3
    graph = lift_constants(ir.from_proto(coarse))
    node = next(node for node in graph.graph if node.name == "layer")
    assert has_correctable_bias(node)
    assert correct_bias(graph.graph, node, error)
    changed = ir.to_proto(graph)
    onnx.checker.check_model(changed, full_check=True)
    assert [node.name for node in changed.graph.node] == [node.name for node in model.graph.node]
    corrected = answer(changed)
    assert np.abs(mean_per_channel(corrected - expected)).max() < 1e-6
    # nothing but the means has changed
    shape = (1, -1, 1, 1) if corrected.ndim == 4 else (1, -1)
    np.testing.assert_allclose(corrected, actual - error.reshape(shape), rtol=1e-5, atol=1e-5)


def products(*behind: Any, outputs: Any, **shapes: Any) -> Any:
    weights = random_weights(np.random.default_rng(0), w=(8, 5), **shapes)
    nodes = [n("MatMul", ["x", "w"], ["p"], name="layer"), *behind]
    model = model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs={name: ["n", 5] for name in outputs})
    graph = lift_constants(ir.from_proto(model))
    return graph.graph, next(node for node in graph.graph if node.name == "layer")


@pytest.mark.parametrize(
    "found",
    [
        products(outputs=["p"]),
        products(n("Relu", ["p"], ["h"]), outputs=["h"]),
        products(n("Add", ["p", "p"], ["h"]), outputs=["h"]),
        products(n("Add", ["p", "b"], ["h"]), outputs=["h", "p"], b=(5,)),
        products(n("Add", ["p", "b"], ["h"]), n("Relu", ["p"], ["r"]), outputs=["h", "r"], b=(5,)),
        products(n("Add", ["p", "b"], ["h"]), outputs=["h"], b=(1,)),
        products(n("Mul", ["p", "b"], ["h"]), outputs=["h"], b=(5,)),
        products(n("Sub", ["p", "b"], ["h"]), outputs=["h"], b=(5,)),
    ],
    ids=["output", "Relu", "itself", "output too", "another reader", "one for all", "Mul", "Sub"],
)
def test_a_product_without_an_addition_of_its_own_stays_as_it_is(found: Any) -> None:
    graph, node = found
    before = ir.to_proto(graph).SerializeToString()
    assert not has_correctable_bias(node)
    assert correct_bias(graph, node, np.ones(5)) is False
    assert ir.to_proto(graph).SerializeToString() == before


def test_a_bias_that_two_layers_share_is_corrected_for_one() -> None:
    weights = random_weights(np.random.default_rng(0), w=(8, 8), b=(8,))
    nodes = [n("Gemm", ["x", "w", "b"], ["h"], name="layer"), n("Gemm", ["h", "w", "b"], ["y"], name="second")]
    model = model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs={"h": ["n", 8], "y": ["n", 8]})
    graph = lift_constants(ir.from_proto(model))
    assert correct_bias(graph.graph, graph.graph.node("layer"), np.ones(8))
    biases = {node.name: node.inputs[2].const_value.numpy() for node in graph.graph}
    np.testing.assert_array_equal(biases["second"], weights["b"])
    np.testing.assert_allclose(biases["layer"], weights["b"] - 1.0, rtol=1e-6)
