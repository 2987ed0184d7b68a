"""One graph that answers for every tensor: all switches off is the float model, one on is one pair."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.quantization.affine import choose_qparams, fake_quantize
from workers.quantization.graph.observation import with_observed_outputs
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.passes.insert_switches import insert_switches
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.placement import Pair, Placement, place_for_onnxruntime_cpu
from workers.quantization.scheme import UINT8_ACTIVATIONS

CNN = {"x": np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)}
TOKENS = {"x": np.random.default_rng(1).normal(size=(2, 5, 16)).astype(np.float32)}
MODELS = pytest.mark.parametrize(
    ("model", "feeds"), [(residual_cnn(), CNN), (two_matmuls(), TOKENS)], ids=["cnn", "matmuls"]
)


def prepared(model: onnx.ModelProto) -> tuple[ir.Model, tuple[Pair, ...]]:
    graph = lift_constants(ir.from_proto(model))
    fold_batch_norm(graph)
    return graph, place_for_onnxruntime_cpu(graph).pairs


def run(model: ir.Model, feeds: Any, *, plain: bool = True) -> Any:
    """plain: without ONNX Runtime's rewriting, so that equal operators give equal bits."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    return ort.InferenceSession(proto.SerializeToString(), options).run(None, feeds)[0]


def switched(graph: ir.Model, pairs: Any) -> tuple[ir.Model, Any]:
    """The graph with switches, and a function from {index: qparams} to its three inputs."""
    changed = graph.clone()
    names = insert_switches(changed, pairs)

    def settings(chosen: Any) -> Any:
        on = np.array([i in chosen for i in range(len(pairs))])
        scale = np.array([chosen[i].scale if i in chosen else 1.0 for i in range(len(pairs))], np.float32)
        zero = np.array([chosen[i].zero_point if i in chosen else 0 for i in range(len(pairs))], np.uint8)
        return {names.switch: on, names.scale: scale, names.zero_point: zero}

    return changed, settings


@MODELS
def test_with_all_switches_off_the_model_is_what_it_was(model: onnx.ModelProto, feeds: Any) -> None:
    graph, pairs = prepared(model)
    assert len(pairs) >= 2
    changed, settings = switched(graph, pairs)
    assert run(changed, feeds | settings({})).tobytes() == run(graph, feeds).tobytes()
    optimized = run(changed, feeds | settings({}), plain=False)
    np.testing.assert_allclose(optimized, run(graph, feeds, plain=False), rtol=1e-5, atol=1e-5)


@MODELS
def test_one_switch_on_is_its_pair_and_nothing_else(model: onnx.ModelProto, feeds: Any) -> None:
    graph, pairs = prepared(model)
    changed, settings = switched(graph, pairs)
    watched, names = with_observed_outputs(graph, [p.tensor for p in pairs])
    values = feeds | dict(zip(names, ort.InferenceSession(watched.SerializeToString()).run(names, feeds), strict=True))
    silent = run(graph, feeds)
    for index, pair in enumerate(pairs):
        found = values[pair.tensor]
        qparams = choose_qparams(found.min() / 2, found.max() / 2, UINT8_ACTIVATIONS)
        one = graph.clone()
        only = Placement((), (Pair(pair.tensor, pair.tensor, pair.readers, pair.scheme),), ())
        insert_qdq(one, only, {pair.tensor: qparams})
        expected = run(one, feeds)
        assert not np.array_equal(expected, silent)
        assert run(changed, feeds | settings({index: qparams})).tobytes() == expected.tobytes()


def test_names_that_the_model_uses_already_are_left_alone() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["lowbit_scale"], name="p")]
    nodes += [helper.make_node("Relu", ["lowbit_scale"], ["y"], name="relu")]
    weights = random_weights(np.random.default_rng(0), w=(16, 4))
    model = model_of(nodes, weights, inputs={"x": ["n", "t", 16]}, outputs={"y": ["n", "t", 4]})
    graph, pairs = prepared(model)
    changed, settings = switched(graph, pairs)
    assert len({v.name for v in changed.graph.inputs}) == 4
    assert "lowbit_scale" not in {v.name for v in changed.graph.inputs}
    assert run(changed, TOKENS | settings({})).tobytes() == run(graph, TOKENS).tobytes()


def test_only_the_readers_that_the_pair_names_see_the_rounding() -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["h"], name="tanh"),
        helper.make_node("Add", ["h", "h"], ["y"], name="add"),
    ]
    graph, _ = prepared(model_of(nodes, {}, inputs={"x": ["n"]}, outputs={"y": ["n"]}))
    changed, settings = switched(graph, [Pair("h", "h", (("add", 1),), UINT8_ACTIVATIONS)])
    qparams = choose_qparams(-0.5, 0.5, UINT8_ACTIVATIONS)
    x = np.linspace(-2.0, 2.0, 9, dtype=np.float32)
    expected = np.tanh(x) + fake_quantize(np.tanh(x), qparams)
    np.testing.assert_allclose(run(changed, {"x": x} | settings({0: qparams})), expected, rtol=1e-6)
