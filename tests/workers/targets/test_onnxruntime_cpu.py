from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.static import StaticRecipe
from tests.workers.pipeline.jobs import prepared_for
from tests.workers.quantization.exact_sums import exact_session
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.quantization.affine import choose_qparams
from workers.quantization.error_metrics import sqnr_db
from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.observation import with_observed_outputs
from workers.quantization.rounding.rounded_weight import RoundedWeight, round_weight
from workers.quantization.scheme import weight_scheme
from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu
from workers.targets.preparation import Prepared
from workers.targets.qdq_form import build
from workers.targets.stamp import stamped
from workers.targets.target import Form, Numbers

RECIPE = PRESETS["int8-fast"]


def weights_of(prepared: Prepared) -> Any:
    """(weight, axis) by operator."""
    nodes = prepared.nodes
    sites = [site for site in prepared.placement.weights if site.op_type != "Gather"]
    return {s.node: (float_constant_of(nodes[s.node].inputs[s.weight_input]), s.axis) for s in sites}


def rounded_weight(weight: Any, axis: int, recipe: StaticRecipe) -> RoundedWeight:
    scheme = weight_scheme(per_channel=recipe.per_channel)
    return round_weight(weight, scheme, axis=axis, limited=recipe.reduce_range)


def quantized(model: onnx.ModelProto, feeds: Any, recipe: Any = RECIPE) -> Any:
    """The QDQ model with ranges from `feeds`."""
    prepared = prepared_for(model, recipe)
    graph, names = with_observed_outputs(prepared.model, prepared.placement.observed)
    values = {**feeds, **OnnxRuntimeSession(graph.SerializeToString(), threads=1).run(feeds, names)}
    schemes = prepared.placement.scheme_of
    fits = {name: choose_qparams(values[name].min(), values[name].max(), s) for name, s in schemes.items()}
    rounded = {name: rounded_weight(*found, recipe) for name, found in weights_of(prepared).items()}
    built = stamped(build(prepared, Numbers(fits, rounded)), {"lowbit.version": "1"})
    onnx.checker.check_model(built, full_check=True)
    return built


def optimised_operators(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """What ONNX Runtime makes of the model."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(n.op_type for n in onnx.load(folder / "optimised.onnx").graph.node)


def outputs(model: onnx.ModelProto, feeds: Any) -> Any:
    return next(iter(OnnxRuntimeSession(model.SerializeToString(), threads=1).run(feeds).values()))


def images(n: int = 16) -> Any:
    return {"x": np.random.default_rng(7).normal(size=(n, 3, 8, 8)).astype(np.float32)}


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("reduce_range", [True, False])
def test_every_operator_of_a_cnn_runs_in_integers(tmp_path: Path, per_channel: bool, reduce_range: bool) -> None:
    recipe = RECIPE.model_copy(update={"per_channel": per_channel, "reduce_range": reduce_range})
    model, feeds = residual_cnn(), images()
    built = quantized(model, feeds, recipe)
    operators = optimised_operators(built, tmp_path)
    assert operators["QLinearConv"] == 3
    assert operators["QLinearAdd"] == 1
    assert operators["QLinearGlobalAveragePool"] == 1
    assert operators["QGemm"] == 1
    # one at the input; nothing in between falls back to float
    assert operators["QuantizeLinear"] == 1
    assert not operators["Relu"] + operators["Clip"] + operators["Conv"] + operators["DequantizeLinear"]
    # without the limit, sums may saturate where there is no VNNI: those weights are judged by exact ones
    actual = outputs(built, feeds) if reduce_range else exact_session(built).run(None, feeds)[0]
    assert sqnr_db(outputs(model, feeds), actual) > 35.0


def test_matmuls_become_integer_kernels(tmp_path: Path) -> None:
    model = two_matmuls()
    feeds = {"x": np.random.default_rng(8).normal(size=(4, 5, 16)).astype(np.float32)}
    built = quantized(model, feeds)
    operators = optimised_operators(built, tmp_path)
    # the first one's relu is absorbed by the next quantize, so it need not return to floats at all
    assert operators["QLinearMatMul"] == 1
    assert operators["MatMulIntegerToFloat"] == 1
    assert not operators["MatMul"] + operators["Relu"]
    assert sqnr_db(outputs(model, feeds), outputs(built, feeds)) > 28.0


def test_no_float_copy_of_a_weight_is_left() -> None:
    built = quantized(residual_cnn(), images())
    floats = [t for t in built.graph.initializer if t.data_type == TensorProto.FLOAT]
    assert max(np.prod(t.dims, initial=1) for t in floats) <= 16  # scales, one per channel
    assert {n.name for n in built.graph.node} >= {"stem", "branch", "residual", "last", "head"}
    assert [(v.name) for v in built.graph.input] == ["x"]
    assert [v.name for v in built.graph.output] == ["y"]
    assert {p.key: p.value for p in built.metadata_props}["lowbit.version"] == "1"


def test_building_does_not_change_what_was_prepared() -> None:
    model, feeds = residual_cnn(), images()
    assert quantized(model, feeds).SerializeToString() == quantized(model, feeds).SerializeToString()


def largest_pair(codes: Any) -> int:
    """The largest |a + b| of two neighbours of one sign; neighbours are input channels of a kernel's position."""
    rows = np.moveaxis(codes.astype(np.int32), 1, -1).reshape(len(codes), -1)
    padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    first, second = padded[:, ::2], padded[:, 1::2]
    return int(np.abs(first + second)[first * second > 0].max(initial=0))


def test_neighbouring_codes_in_the_file_cannot_saturate_sixteen_bits_when_asked() -> None:
    for reduce_range in (True, False):
        built = quantized(residual_cnn(), images(), RECIPE.model_copy(update={"reduce_range": reduce_range}))
        codes = [numpy_helper.to_array(t) for t in built.graph.initializer if t.name.endswith("_quantized")]
        weights = [
            c for c in codes if c.dtype == np.int8
        ]  # Conv [O, C, h, w], and the Gemm [N, K] is stored transposed
        assert len(weights) == 4
        pairs = [largest_pair(c) for c in weights]
        # 255 * 128 = 32,640 is below 32,767, and 255 * 129 = 32,895 above
        assert max(pairs) <= 128 if reduce_range else max(pairs) > 128
        # without a limit the largest weight of every row meets the last code; with one, rows still use what they may
        assert all(max(pair, np.abs(c.astype(int)).max()) >= 127 for pair, c in zip(pairs, weights, strict=True))


def test_an_embedding_becomes_a_table_of_bytes() -> None:
    rng = np.random.default_rng(0)
    n = helper.make_node
    weights = random_weights(rng, table=(100, 32), w=(32, 4))
    nodes = [
        n("Cast", ["x"], ["i"], name="cast", to=TensorProto.INT64),
        n("Gather", ["table", "i"], ["e"], name="embed"),
        n("MatMul", ["e", "w"], ["y"], name="head"),
    ]
    model = model_of(nodes, weights, inputs={"x": ["n", 6]}, outputs={"y": ["n", 6, 4]})
    feeds = {"x": rng.integers(0, 100, (8, 6)).astype(np.float32)}
    built = quantized(model, feeds)
    table = next(t for t in built.graph.initializer if t.name == "table_quantized")
    assert (table.data_type, list(table.dims)) == (TensorProto.INT8, [100, 32])
    assert sqnr_db(outputs(model, feeds), outputs(built, feeds)) > 28.0


def test_tied_weights_stay_tied() -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(16, 16))
    nodes = [n("MatMul", ["x", "w"], ["h"], name="one"), n("MatMul", ["h", "w"], ["y"], name="two")]
    model = model_of(nodes, weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 16]})
    built = quantized(model, {"x": np.ones((2, 16), np.float32)})
    assert sum(list(t.dims) == [16, 16] for t in built.graph.initializer) == 1


def test_two_lookups_share_one_table() -> None:
    rng = np.random.default_rng(0)
    n = helper.make_node
    nodes = [
        n("Cast", ["x"], ["i"], name="cast", to=TensorProto.INT64),
        n("Gather", ["table", "i"], ["e"], name="one"),
        n("Neg", ["i"], ["j"], name="other_row"),
        n("Gather", ["table", "j"], ["f"], name="two"),
        n("Add", ["e", "f"], ["s"], name="sum"),
        n("MatMul", ["s", "w"], ["y"], name="head"),
    ]
    weights = random_weights(rng, table=(100, 32), w=(32, 4))
    model = model_of(nodes, weights, inputs={"x": ["n", 6]}, outputs={"y": ["n", 6, 4]})
    feeds = {"x": rng.integers(0, 100, (8, 6)).astype(np.float32)}
    built = quantized(model, feeds)
    names = [node.name for node in built.graph.node] + [name for node in built.graph.node for name in node.output]
    assert len(set(names)) == len(names)
    assert sqnr_db(outputs(model, feeds), outputs(built, feeds)) > 28.0


def test_a_correction_moves_the_outputs_mean_and_its_bias_is_of_integers() -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(4, 16))
    model = model_of(
        [n("Gemm", ["x", "w"], ["y"], name="head", transB=1)], weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 4]}
    )
    prepared = prepared_for(model, RECIPE)
    rounded = {name: rounded_weight(*found, RECIPE) for name, found in weights_of(prepared).items()}
    x = {"x": np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)}
    mean_error = np.array([0.5, -0.25, 0.0, 3.0])
    fits = {"x": choose_qparams(-4.0, 4.0, prepared.placement.scheme_of["x"])}
    plain, corrected = (
        stamped(build(prepared, Numbers(fits, rounded, errors)), {}) for errors in ({}, {"head": mean_error})
    )
    moved = (outputs(plain, x) - outputs(corrected, x)).astype(np.float64)
    np.testing.assert_allclose(moved, np.broadcast_to(mean_error, moved.shape), atol=1e-4)
    assert [t.data_type for t in corrected.graph.initializer if t.name == "head_bias_quantized"] == [TensorProto.INT32]


def forms_of(model: onnx.ModelProto) -> list[Form]:
    """With ranges of -4 to 4."""
    prepared = prepared_for(model, RECIPE)
    rounded = {name: rounded_weight(*found, RECIPE) for name, found in weights_of(prepared).items()}
    fits = {name: choose_qparams(-4.0, 4.0, scheme) for name, scheme in prepared.placement.scheme_of.items()}
    return list(OnnxRuntimeCpu().forms(prepared, Numbers(fits, rounded)))


def test_only_products_have_a_form_of_the_runtimes_own() -> None:
    portable, own = forms_of(two_matmuls())
    assert (portable.key, own.key, own.label) == ("", "ort", "ONNX Runtime's form")
    assert [node.op_type for node in own.model.graph].count("MatMulIntegerToFloat") == 2
    x = {"x": np.random.default_rng(8).normal(size=(4, 5, 16)).astype(np.float32)}
    plain, fused = (outputs(stamped(form.model, {}), x) for form in (portable, own))
    np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)
    assert [form.key for form in forms_of(residual_cnn())] == [""]


@pytest.mark.parametrize("broken", [b"", b"not a model", residual_cnn().SerializeToString()[:500]])
def test_what_the_runtime_cannot_load_is_a_fact_with_one_line(broken: Any) -> None:
    with pytest.raises(RuntimeRefused) as refused:
        OnnxRuntimeSession(broken, threads=1)
    assert "\n" not in str(refused.value)


def test_data_that_does_not_fit_is_refused_at_run_time() -> None:
    session = OnnxRuntimeSession(residual_cnn().SerializeToString(), threads=1)
    with pytest.raises(RuntimeRefused):
        session.run({"x": np.zeros((1, 4, 8, 8), np.float32)})
