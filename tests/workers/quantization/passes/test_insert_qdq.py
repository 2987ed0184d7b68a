"""Weights that were rounded beforehand are written as they are; tables and pruned channels have their own forms."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes.common import NameFixPass

from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn
from workers.quantization.affine import choose_qparams, fake_quantize
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.placement import Schemes, place_for_onnxruntime_cpu
from workers.quantization.rounding.rounded_weight import RoundedWeight, round_weight
from workers.quantization.scheme import UINT8_ACTIVATIONS, weight_scheme

n = helper.make_node
PER_CHANNEL = weight_scheme(per_channel=True)
PER_TENSOR = weight_scheme(per_channel=False)
WIDE = choose_qparams(-4.0, 4.0, UINT8_ACTIVATIONS)


def inserted(model: onnx.ModelProto, scheme: Any = PER_CHANNEL, rounded: Any = None) -> onnx.ModelProto:
    """Every activation from -4 to 4."""
    graph = lift_constants(ir.from_proto(model))
    fold_batch_norm(graph)
    placement = place_for_onnxruntime_cpu(graph, Schemes(UINT8_ACTIVATIONS, scheme))
    insert_qdq(graph, placement, dict.fromkeys(placement.observed, WIDE), rounded=rounded)
    NameFixPass()(graph)  # as targets do: two forms of one weight have nodes of one name until then
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def initializers(model: onnx.ModelProto) -> Any:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def run(model: onnx.ModelProto, **feeds: Any) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options).run(None, feeds)[0]


def marked(shape: Any, axis: int, seed: int = 0) -> RoundedWeight:
    """Codes that no rounding would give."""
    codes = np.random.default_rng(seed).integers(-127, 128, shape).astype(np.int8)
    ends = np.linspace(1.0, 2.0, shape[axis], dtype=np.float32)
    return RoundedWeight(codes, choose_qparams(np.zeros_like(ends), ends, PER_CHANNEL, axis=axis), limited_pairs=False)


def test_weights_that_were_rounded_beforehand_are_written_as_they_are() -> None:
    model = residual_cnn()
    rounded = {"branch": marked((8, 8, 3, 3), 0), "head": marked((5, 16), 0, seed=1)}
    found = initializers(inserted(model, rounded=rounded))
    for name, node in (("w2", "branch"), ("w4", "head")):
        np.testing.assert_array_equal(found[f"{name}_quantized"], rounded[node].codes)
        np.testing.assert_array_equal(found[f"{name}_scale"], rounded[node].qparams.scale)
        # the bias is in the unit of the product: input step times weight step
        np.testing.assert_allclose(found[f"{node}_bias_scale"], rounded[node].qparams.scale * WIDE.scale, rtol=1e-6)
    # what is not given is rounded to the nearest
    w3 = initializers(model)["w3"]
    scale = np.abs(w3).max(axis=(1, 2, 3), keepdims=True) / 127
    np.testing.assert_array_equal(found["w3_quantized"], np.rint(w3 / scale))


def test_one_weight_rounded_differently_for_two_readers_is_written_twice() -> None:
    weights = random_weights(np.random.default_rng(0), w=(16, 16))
    nodes = [
        n("MatMul", ["x", "w"], ["p"], name="one"),
        n("MatMul", ["x", "w"], ["q"], name="two"),
        n("Concat", ["p", "q"], ["y"], name="join", axis=1),
    ]
    model = model_of(nodes, weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 32]})
    rounded = {"one": marked((16, 16), 1, seed=1), "two": marked((16, 16), 1, seed=2)}
    proto = inserted(model, rounded=rounded)
    x = np.random.default_rng(3).uniform(-4, 4, size=(6, 16)).astype(np.float32)
    weight = np.concatenate([rounded[name].codes * rounded[name].qparams.scale for name in ("one", "two")], axis=1)
    np.testing.assert_allclose(run(proto, x=x), fake_quantize(x, WIDE) @ weight, rtol=1e-5, atol=1e-5)
    assert sum(t.data_type == TensorProto.INT8 and list(t.dims) == [16, 16] for t in proto.graph.initializer) == 2
    same = inserted(model, rounded={"one": rounded["one"], "two": rounded["one"]})
    assert sum(t.data_type == TensorProto.INT8 and list(t.dims) == [16, 16] for t in same.graph.initializer) == 1


def lookup(indices: Any = ("n", 6), *, as_output: bool = False) -> onnx.ModelProto:
    weights = random_weights(np.random.default_rng(0), table=(100, 32), w=(32, 4))
    nodes = [
        n("Cast", ["x"], ["i"], name="cast", to=TensorProto.INT64),
        n("Gather", ["table", "i"], ["e"], name="embed"),
    ]
    outputs = {"e": [*indices, 32]}
    if not as_output:
        nodes.append(n("MatMul", ["e", "w"], ["y"], name="head"))
        outputs = {"y": [*indices, 4]}
    else:
        del weights["w"]
    return model_of(nodes, weights, inputs={"x": list(indices)}, outputs=outputs)


@pytest.mark.parametrize("indices", [(5,), (2, 6), (2, 3, 4)])
def test_a_table_with_a_scale_for_each_column_is_the_dequantized_table(indices: Any) -> None:
    """The rescaling Mul gives what DequantizeLinear along the last axis would: code * scale."""
    proto = inserted(lookup(indices, as_output=True))
    found = initializers(proto)
    table = initializers(lookup())["table"]
    scale = (np.abs(table).max(axis=0) / 127).astype(np.float32)
    np.testing.assert_allclose(found["table_scale"], scale, rtol=1e-6)
    np.testing.assert_array_equal(found["table_quantized"], np.rint(table / scale))
    x = np.random.default_rng(1).integers(0, 100, indices)
    expected = found["table_quantized"][x].astype(np.float32) * found["table_scale"]
    assert run(proto, x=x.astype(np.float32)).tobytes() == expected.tobytes()
    per_axis = helper.make_node("DequantizeLinear", ["c", "s"], ["e"], axis=len(indices))
    reference = model_of(
        [n("Gather", ["t", "i"], ["c"]), per_axis],
        {"t": found["table_quantized"], "s": found["table_scale"], "i": x},
        inputs={"x": list(indices)}, outputs={"e": [*indices, 32]},
    )  # fmt: skip
    assert run(reference, x=x.astype(np.float32)).tobytes() == expected.tobytes()
    assert [o.name for o in proto.graph.output] == ["e"]
    assert [node.op_type for node in proto.graph.node] == ["Cast", "Gather", "DequantizeLinear", "Mul"]


def test_a_table_with_one_scale_needs_no_rescaling() -> None:
    proto = inserted(lookup(as_output=True), PER_TENSOR)
    assert [node.op_type for node in proto.graph.node] == ["Cast", "Gather", "DequantizeLinear"]


@pytest.mark.parametrize("given", [True, False])
def test_a_pruned_channel_with_a_large_bias_keeps_its_bias(given: bool) -> None:
    weight = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    weight[2] = 0.0
    bias = np.array([0.5, -1.0, 3000.0, 0.25], np.float32)
    nodes = [n("Gemm", ["x", "w", "b"], ["y"], name="head", transB=1)]
    model = model_of(nodes, {"w": weight, "b": bias}, inputs={"x": ["n", 8]}, outputs={"y": ["n", 4]})
    rounded = {"head": round_weight(weight, PER_CHANNEL, axis=0, limited=True)} if given else None
    proto = inserted(model, rounded=rounded)
    x = np.random.default_rng(1).uniform(-4, 4, size=(20, 8)).astype(np.float32)
    found = run(proto, x=x)
    np.testing.assert_allclose(found[:, 2], 3000.0, rtol=1e-5)
    assert np.abs(found - (x @ weight.T + bias))[:, [0, 1, 3]].max() < 0.3


def test_a_channel_of_tiny_weights_and_a_large_bias_keeps_its_bias() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    weight[1] *= 1e-9
    bias = np.array([0.5, 7.0, -0.5], np.float32)
    nodes = [n("Gemm", ["x", "w", "b"], ["y"], name="head", transB=1)]
    model = model_of(nodes, {"w": weight, "b": bias}, inputs={"x": ["n", 8]}, outputs={"y": ["n", 3]})
    proto = inserted(model, rounded={"head": round_weight(weight, PER_CHANNEL, axis=0, limited=True)})
    # 7 / (8/255 * 1e-9 * 2 / 127) would be 1.4e13 codes; int32 holds 2.1e9
    np.testing.assert_allclose(run(proto, x=np.zeros((1, 8), np.float32))[0], bias, rtol=1e-3)


@pytest.mark.parametrize("bias", [np.array([0.5, 7.0, -0.5], np.float32), np.float32(7.0), np.array([7.0], np.float32)])
@pytest.mark.parametrize("turned", [True, False])
def test_a_bias_that_an_addition_brings_keeps_its_digits_in_a_fused_product(bias: Any, *, turned: bool) -> None:
    weight = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    weight[:, 1] *= 1e-9
    addition = ["b", "p"] if turned else ["p", "b"]
    nodes = [n("MatMul", ["x", "w"], ["p"], name="product"), n("Add", addition, ["y"])]
    stored = {"w": weight, "b": np.asarray(bias)}
    proto = inserted(model_of(nodes, stored, inputs={"x": ["n", 8]}, outputs={"y": ["n", 3]}))
    expected = np.broadcast_to(np.asarray(bias).reshape(-1), (3,))
    # ONNX Runtime makes QGemm of it, with a bias of 32 bits in steps of input scale * weight scale
    served = OnnxRuntimeSession(proto.SerializeToString(), threads=1).run({"x": np.zeros((1, 8), np.float32)})
    np.testing.assert_allclose(served["y"][0], expected, rtol=1e-3)


def test_a_weight_that_a_branch_reads_as_well_is_stored_once() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    value = helper.make_tensor_value_info

    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([node], name, [], [value(node.output[0], TensorProto.FLOAT, None)])

    nodes = [
        n("MatMul", ["x", "w"], ["p"], name="product"),
        n("ReduceSum", ["p"], ["s"], keepdims=0),
        n("Greater", ["s", "zero"], ["c"]),
        n("If", ["c"], ["y"], then_branch=branch("t", n("MatMul", ["p", "w"], ["a"])),
          else_branch=branch("e", n("Neg", ["p"], ["b"]))),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "if", [value("x", TensorProto.FLOAT, ["n", 64])], [value("y", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.float32(0), "zero")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    proto = inserted(model)
    assert "w" not in initializers(proto)
    x = np.abs(np.random.default_rng(1).normal(size=(4, 64))).astype(np.float32)
    x = x if (x @ weight).sum() > 0 else -x
    expected, found = x @ weight @ weight, run(proto, x=x)
    assert np.square(found - expected).sum() < 1e-3 * np.square(expected).sum()
