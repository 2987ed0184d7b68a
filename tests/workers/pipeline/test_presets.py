"""Whole jobs on small networks: what each preset leaves behind, and what unusual data and weights do to it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from tests.workers.pipeline.jobs import CLASSES, VOCABULARY, attention, done, quantized, sentences
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.protocol.outcome import Refused

n = helper.make_node
PRESETS = ["int8-fast", "int8-balanced", "int8-accurate", "int8-dynamic", "float16"]
SAMPLES = 300  # enough for some to be held out


def images(seed: int = 0, samples: int = SAMPLES) -> Any:
    return {"x": np.random.default_rng(seed).normal(size=(samples, 3, 8, 8)).astype(np.float32)}


def tokens(seed: int = 0, samples: int = SAMPLES) -> Any:
    return {"x": np.random.default_rng(seed).normal(size=(samples, 3, 16)).astype(np.float32)}


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def optimised(path: Path) -> Counter[str]:
    """What ONNX Runtime makes of a file."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path.with_suffix(".optimised"))
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return operators(path.with_suffix(".optimised"))


def domains(path: Path) -> set[str]:
    return {node.domain for node in onnx.load(path).graph.node}


def test_accurate_leaves_a_portable_file_and_the_runtimes_own_form_of_a_network_of_products(tmp_path: Path) -> None:
    result = quantized(tmp_path, attention(), sentences(SAMPLES), sentences(64, seed=1), preset="int8-accurate")
    _, portable, own = result.variants
    assert own.key == f"{portable.key}_ort"
    assert {(f.path, f.variant_key) for f in result.files if f.kind == "model"} == {
        (f"m_int8_{portable.key}.onnx", portable.key),
        (f"m_int8_{own.key}.onnx", own.key),
        (f"m_int8_{portable.key}.onnx", own.key),  # never delivered without it
    }
    standard, fast = (tmp_path / "outputs" / f"m_int8_{v.key}.onnx" for v in (portable, own))
    assert domains(standard) == {""}
    assert domains(fast) == {"", "com.microsoft"}
    assert operators(fast)["MatMulIntegerToFloat"] == 3
    feeds = sentences(64, seed=1)
    one, other = (ort.InferenceSession(str(p)).run(None, feeds)[0] for p in (standard, fast))
    np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)
    assert own.layers == portable.layers


def test_accurate_says_of_every_layer_what_was_done_to_it_and_what_is_left(tmp_path: Path) -> None:
    result = quantized(tmp_path, attention(), sentences(SAMPLES), sentences(64, seed=1), preset="int8-accurate")
    layers = {layer.node: layer for layer in result.layers}
    assert set(layers) == {"embed", "q_proj", "k_proj", "v_proj", "scores", "mix", "classify"}
    assert {name for name, layer in layers.items() if layer.figures} == {"q_proj", "k_proj", "v_proj", "classify"}
    assert not layers["scores"].quantized
    for name in ("q_proj", "k_proj", "v_proj", "classify"):
        figures = layers[name].figures
        assert figures.rounding == "gptq"
        # q and k have no addition that could take a correction
        assert figures.bias_corrected is (name in {"v_proj", "classify"})
        assert figures.input_range[0] < 0.0 < figures.input_range[1]
        for ratio in (figures.weight_sqnr_db, figures.input_sqnr_db, figures.output_sqnr_db, figures.sensitivity_db):
            assert 20.0 < ratio < 80.0
        assert 0.0 <= figures.clip_fraction < 0.01


def test_accurate_on_a_convolutional_network_beats_fast(tmp_path: Path) -> None:
    fast = quantized(tmp_path, residual_cnn(), images(), images(1), preset="int8-fast")
    accurate = quantized(tmp_path, residual_cnn(), images(), images(1), preset="int8-accurate")
    # no product that ONNX Runtime would write differently: one file
    assert [f.kind for f in accurate.files] == ["model", "report"]
    assert accurate.variants[1].metrics.sqnr_db > fast.variants[1].metrics.sqnr_db + 1.0
    figures = {layer.node: layer.figures for layer in accurate.layers if layer.figures}
    assert set(figures) == {"stem", "branch", "last", "head"}
    assert all(f.bias_corrected and f.rounding == "gptq" for f in figures.values())
    (path,) = (tmp_path / "outputs" / f.path for f in accurate.files if f.kind == "model")
    made = optimised(path)
    assert (made["QLinearConv"], made["QGemm"]) == (3, 1)
    assert not made["Conv"] + made["Gemm"]


def without_biases() -> onnx.ModelProto:
    """Two convolutions and a Gemm, none with a bias."""
    weights = random_weights(np.random.default_rng(0), w1=(8, 3, 3, 3), w2=(8, 8, 3, 3), w3=(CLASSES, 8))
    nodes = [
        n("Conv", ["x", "w1"], ["c1"], name="one"),
        n("Relu", ["c1"], ["r1"], name="relu1"),
        n("Conv", ["r1", "w2"], ["c2"], name="two"),
        n("Relu", ["c2"], ["r2"], name="relu2"),
        n("GlobalAveragePool", ["r2"], ["p"], name="pool"),
        n("Flatten", ["p"], ["f"], name="flatten"),
        n("Gemm", ["f", "w3"], ["y"], name="head", transB=1),
    ]
    return model_of(nodes, weights, inputs={"x": ["n", 3, 8, 8]}, outputs={"y": ["n", CLASSES]})


@pytest.mark.parametrize("preset", ["int8-fast", "int8-accurate"])
def test_layers_without_a_bias_run_in_integers_whatever_is_corrected(tmp_path: Path, preset: str) -> None:
    result = quantized(tmp_path, without_biases(), images(), images(1), preset=preset)
    (path,) = (tmp_path / "outputs" / f.path for f in result.files if f.kind == "model")
    made = optimised(path)
    assert (made["QLinearConv"], made["QGemm"]) == (2, 1)
    assert not made["Conv"] + made["Gemm"] + made["Add"]


def test_dynamic_finds_its_ranges_at_run_time(tmp_path: Path) -> None:
    result = quantized(tmp_path, attention(), sentences(40), preset="int8-dynamic")
    assert [v.key for v in result.variants] == ["baseline", "dynamic"]
    assert [f.path for f in result.files] == ["m_int8_dynamic.onnx", "report.json"]
    assert result.variants[1].metrics.sqnr_db > 25.0
    assert {layer.node for layer in result.layers if layer.quantized} >= {"q_proj", "k_proj", "v_proj", "classify"}
    assert {layer.node for layer in result.layers if not layer.quantized} >= {"scores", "mix"}
    assert operators(tmp_path / "outputs" / "m_int8_dynamic.onnx")["MatMulInteger"] >= 3


@pytest.mark.parametrize("change", [{"nodes_to_exclude": ("classify",)}, {"op_types_to_exclude": ("Gemm",)}])
def test_dynamic_leaves_out_what_the_recipe_leaves_out(tmp_path: Path, change: Any) -> None:
    """ONNX Runtime's tool gives a Gemm another name before it looks."""
    result = quantized(tmp_path, attention(), sentences(8), preset="int8-dynamic", **change)
    layers = {layer.node: layer.quantized for layer in result.layers}
    assert not layers["classify"]
    assert layers["q_proj"]
    (file,) = (f.path for f in result.files if f.kind == "model")
    weights = {t.name: t.data_type for t in onnx.load(tmp_path / "outputs" / file).graph.initializer}
    assert weights["head"] == onnx.TensorProto.FLOAT


def test_float16_halves_the_file_and_keeps_the_outputs(tmp_path: Path) -> None:
    result = quantized(tmp_path, residual_cnn(), images(samples=20), preset="float16")
    assert [v.key for v in result.variants] == ["baseline", "float16"]
    assert [f.path for f in result.files] == ["m_float16.onnx", "report.json"]
    # 11 bits of mantissa: 6.02 * 11 + 1.76 = 68 dB for one rounding
    assert result.variants[1].metrics.sqnr_db > 55.0
    weights = [t for t in onnx.load(tmp_path / "outputs" / "m_float16.onnx").graph.initializer if np.prod(t.dims) > 16]
    assert {t.data_type for t in weights} == {onnx.TensorProto.FLOAT16}
    assert all(layer.quantized for layer in result.layers)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("index", [VOCABULARY, -VOCABULARY - 1])
def test_an_id_beyond_the_table_is_a_named_problem(tmp_path: Path, preset: str, index: int) -> None:
    data = sentences(SAMPLES)
    data["input_ids"][SAMPLES - 1, 0] = index
    outcome = done(tmp_path, attention(), data, preset=preset)
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == "calibration_index_out_of_range"
    assert outcome.problem.errors[0].entry == "input_ids"
    assert str(index) in outcome.problem.detail


def changed(model: onnx.ModelProto, **arrays: Any) -> onnx.ModelProto:
    """The model with weights that a function of the old ones gives."""
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            array = arrays[tensor.name](numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def zero_channel(weight: Any) -> Any:
    weight[2] = 0.0
    return weight


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("model", "calibration"),
    [
        (changed(residual_cnn(), w2=zero_channel, w3=zero_channel, w4=zero_channel), images()),
        (changed(residual_cnn(), w2=np.zeros_like), images()),
        (changed(two_matmuls(), w1=lambda w: zero_channel(w.T).T), tokens()),
        (changed(two_matmuls(), w2=np.zeros_like), tokens()),
        (residual_cnn(), {"x": np.zeros((SAMPLES, 3, 8, 8), np.float32)}),
        (two_matmuls(), {"x": np.full((SAMPLES, 3, 16), 0.5, np.float32)}),
        (two_matmuls(), {"x": tokens()["x"] * np.float32(1e-30)}),
        (two_matmuls(), tokens(samples=1)),
    ],
    ids=[
        "zero channels", "zero convolution", "zero column", "zero product",
        "zero images", "constant tokens", "tiny tokens", "one sample",
    ],
)  # fmt: skip
def test_whatever_vanishes_no_preset_fails_or_makes_numbers_up(
    tmp_path: Path, model: Any, calibration: Any, preset: str
) -> None:
    result = quantized(tmp_path, model, calibration, preset=preset)
    for file in result.files:
        if file.kind == "model":
            session = ort.InferenceSession(str(tmp_path / "outputs" / file.path))
            assert np.isfinite(session.run(None, calibration)[0]).all()
    if preset.startswith("int8-") and preset != "int8-dynamic" and np.ptp(calibration["x"]) == 0.0:
        assert "constant_tensor" in {w.code for w in result.warnings}


def test_a_product_of_zeros_keeps_the_bias_behind_it(tmp_path: Path) -> None:
    model = changed(two_matmuls(), w2=np.zeros_like)
    bias = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "b")
    result = quantized(tmp_path, model, tokens(), preset="int8-accurate")
    for file in (f for f in result.files if f.kind == "model"):
        found = ort.InferenceSession(str(tmp_path / "outputs" / file.path)).run(None, tokens(samples=2))[0]
        np.testing.assert_allclose(found, np.broadcast_to(bias, found.shape), rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, "auto"])
def test_smoothing_takes_an_outlier_channel_out_of_a_tensor(tmp_path: Path, alpha: Any) -> None:
    outlier = np.ones(16, np.float32)
    outlier[5] = 60.0
    calibration, evaluation = ({"x": tokens(seed)["x"] * outlier} for seed in (0, 1))
    plain = quantized(tmp_path, two_matmuls(), calibration, evaluation)
    smoothed = quantized(tmp_path, two_matmuls(), calibration, evaluation, smoothquant_alpha=alpha)
    figures = {layer.node: layer.figures for layer in smoothed.layers if layer.figures}
    chosen = figures["up"].smoothquant_alpha
    assert chosen == alpha if alpha != "auto" else 0.3 <= chosen <= 1.0
    if alpha in {0.5, "auto"}:
        assert smoothed.variants[1].metrics.sqnr_db > plain.variants[1].metrics.sqnr_db + 3.0
        assert np.abs(figures["up"].input_range).max() < 60.0


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_the_report_names_the_rounding_that_was_really_used(tmp_path: Path, rounding: str) -> None:
    model = residual_cnn()
    (branch,) = [node for node in model.graph.node if node.name == "branch"]
    del branch.attribute[:]
    branch.attribute.append(helper.make_attribute("auto_pad", "SAME_UPPER"))
    result = quantized(tmp_path, model, images(samples=40), rounding=rounding)
    used = {layer.node: layer.figures.rounding for layer in result.layers if layer.figures}
    # the window of a SAME convolution depends on its input, so it has no Hessian
    assert used == {"stem": rounding, "branch": "nearest", "last": rounding, "head": rounding}


@pytest.mark.parametrize("reduce_range", [True, False])
def test_neighbouring_weights_are_limited_when_the_recipe_says_so(tmp_path: Path, reduce_range: bool) -> None:
    result = quantized(tmp_path, two_matmuls(), tokens(samples=20), reduce_range=reduce_range)
    for layer in (layer for layer in result.layers if layer.figures):
        assert ("neighbours limited" in layer.figures.scheme) is reduce_range
    (path,) = (tmp_path / "outputs" / f.path for f in result.files if f.kind == "model")
    codes = [numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if t.name.endswith("_quantized")]
    pairs = [c[::2].astype(int) + c[1::2] for c in codes if c.ndim == 2]  # rows [K, N] two by two
    assert (max(int(np.abs(p).max()) for p in pairs) <= 128) is reduce_range
