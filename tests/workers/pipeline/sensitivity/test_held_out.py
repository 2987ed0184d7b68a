"""Samples that judge: their answers are the float model's, and the range with the least error at the output wins."""

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import attention, prepared_for, quantized, sentences
from tests.workers.quantization.small_models import two_matmuls
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.sensitivity.division import Division
from workers.pipeline.sensitivity.held_out import HELD_OUT, HeldOut, HeldOutBatch, dominant, hold_out
from workers.pipeline.sensitivity.probe import (
    SensitivityProbe,
    best_ranges,
    costs_of_ranges,
    sensitivities,
    worth_trying,
)
from workers.protocol.reporter import Reporter
from workers.quantization.affine import QParams, choose_qparams, fake_quantize
from workers.quantization.error_metrics import decibels
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.scheme import UINT8_ACTIVATIONS

RECIPE = PRESETS["int8-fast"].model_copy(update={"calibration_method": "measured"})


def tokens(samples: int) -> Any:
    return np.random.default_rng(0).normal(size=(samples, 3, 16)).astype(np.float32)


def held(path: Any, reporter: Reporter, model: Any, **options: Any) -> tuple[HeldOut, OnnxRuntimeSession]:
    session = OnnxRuntimeSession(model.SerializeToString(), threads=1)
    feeder = feeder_for(describe(model), open_archive(path), reporter)
    division = Division.undivided(feeder)
    return hold_out(session, feeder, division, part=0, output="y", rows=8, **options), session


def test_the_first_samples_are_kept_with_the_float_models_answers(npz: Any, reporter: Reporter) -> None:
    x = tokens(HELD_OUT + 20)
    found, session = held(npz(x=x), reporter, two_matmuls())
    np.testing.assert_array_equal(np.concatenate([b.feeds["x"] for b in found.batches]), x[:HELD_OUT])
    expected = session.run({"x": x[:HELD_OUT]})["y"]
    np.testing.assert_allclose(np.concatenate([b.expected for b in found.batches]), expected, rtol=1e-6, atol=1e-6)
    assert found.signal == pytest.approx(float(np.square(expected, dtype=np.float64).sum()), rel=1e-5)
    assert found.sqnr_db(session) > 120.0
    first = found.first(9)
    assert sum(len(b.expected) for b in first.batches) == 16  # whole batches of eight
    assert found.first(1000) == found


def test_noise_is_told_by_sample(npz: Any, reporter: Reporter) -> None:
    found, session = held(npz(x=tokens(10)), reporter, two_matmuls())
    moved = tuple(
        HeldOutBatch(b.feeds, None, b.expected + np.arange(b.rows, dtype=np.float32)[:, None, None], b.rows)
        for b in found.batches
    )
    # every sample has 3 * 4 outputs, all of them off by the sample's number in its batch of 8
    expected = [12.0 * number**2 for number in [*range(8), 0, 1]]
    np.testing.assert_allclose(HeldOut("y", moved).noises(session), expected, rtol=1e-4, atol=1e-8)
    # rows that fill a fixed batch are nobody's
    short = HeldOutBatch(moved[0].feeds, None, moved[0].expected, 3)
    np.testing.assert_allclose(HeldOut("y", (short,)).noises(session), expected[:3], rtol=1e-4, atol=1e-8)


def test_padding_is_cut_from_what_is_held_out(npz: Any, reporter: Reporter) -> None:
    found, _ = held(npz(**sentences(8, 20, longest=5)), reporter, attention())
    assert all(b.feeds["input_ids"].shape[1] <= 5 for b in found.batches)
    assert all(b.tokens is not None for b in found.batches)


def test_the_ratio_is_in_decibels_within_limits() -> None:
    assert decibels(100.0, 1.0) == pytest.approx(20.0)
    assert decibels(0.0, 0.0) == 0.0
    assert decibels(1.0, 0.0) == 200.0
    assert decibels(0.0, 1.0) == -200.0


def test_answers_that_are_not_finite_have_no_error(npz: Any, reporter: Reporter) -> None:
    found, session = held(npz(x=tokens(2)), reporter, two_matmuls())
    (batch,) = found.batches
    expected = batch.expected.copy()
    expected[0, 0, 0] = -np.inf
    masked = HeldOut("y", (HeldOutBatch(batch.feeds, None, expected, 2),))
    assert np.isfinite(masked.signal)
    assert masked.noise(session) < 1e-6


def test_what_dominates_comes_largest_first() -> None:
    assert dominant([1.0, 50.0, 0.1, 48.9], share=0.01) == [1, 3, 0]
    assert dominant([0.0, 0.0], share=0.01) == []
    assert dominant([], share=0.01) == []


def probed(npz: Any, reporter: Reporter, x: Any) -> tuple[SensitivityProbe, Any]:
    model = two_matmuls()
    found, _ = held(npz(x=x), reporter, model)
    prepared = prepared_for(model, RECIPE)
    return SensitivityProbe.of(prepared, found, threads=1), prepared


def test_what_a_tensor_costs_is_the_noise_when_it_alone_is_rounded(npz: Any, reporter: Reporter) -> None:
    x = tokens(32)
    probe, _ = probed(npz, reporter, x)
    weights = weights_of_both()
    hidden = np.maximum(x @ weights["w1"], 0.0)
    qparams = {"x": span(-2.0, 2.0), "r": span(0.0, 3.0)}
    truth = hidden @ weights["w2"]
    of_x = np.maximum(fake_quantize(x, qparams["x"]) @ weights["w1"], 0.0) @ weights["w2"]
    of_r = fake_quantize(hidden, qparams["r"]) @ weights["w2"]
    costs = sensitivities(probe, qparams, reporter)
    assert costs["x"] == pytest.approx(float(np.square(of_x - truth).sum()), rel=1e-3)
    assert costs["r"] == pytest.approx(float(np.square(of_r - truth).sum()), rel=1e-3)


def span(low: float, high: float) -> QParams:
    return choose_qparams(low, high, UINT8_ACTIVATIONS)


def weights_of_both() -> Any:
    return {t.name: numpy_helper.to_array(t) for t in two_matmuls().graph.initializer}


def test_the_range_with_the_least_noise_wins_and_small_fry_is_not_asked(npz: Any, reporter: Reporter) -> None:
    probe, _ = probed(npz, reporter, tokens(32))
    candidates = {
        "x": {"wide": span(-1000.0, 1000.0), "fits": span(-3.5, 3.5), "narrow": span(-0.5, 0.5)},
        "r": {"wide": span(0.0, 1000.0), "fits": span(0.0, 5.0)},
    }
    costs = costs_of_ranges(probe, candidates, reporter)
    assert {tensor: set(some) for tensor, some in costs.items()} == {t: set(some) for t, some in candidates.items()}
    assert best_ranges(costs) == {"x": "fits", "r": "fits"}
    assert worth_trying({"x": 1.0, "r": 2.0}) == ["r", "x"]
    assert worth_trying({"x": 1.0, "r": 0.001}) == ["x"]
    assert worth_trying({"x": 0.0, "r": 0.0}) == []


def with_outlier(samples: int = 320) -> Any:
    """One value of 500 in a sample that shapes, where every other is below 5."""
    x = tokens(samples)
    x[-9, 1, 3] = 500.0
    return x


def test_a_measured_range_beats_min_max_where_one_value_is_far_out(tmp_path: Any) -> None:
    model, calibration, evaluation = two_matmuls(), {"x": with_outlier()}, {"x": tokens(64)}
    plain = quantized(tmp_path, model, calibration, evaluation)
    measured = quantized(tmp_path, model, calibration, evaluation, calibration_method="measured")
    (one,), (other,) = plain.variants[1:], measured.variants[1:]
    # a step of 505 / 255 against one of about 9 / 255: 20 log10(505 / 9) = 35 dB less noise of the input
    assert other.metrics.sqnr_db > one.metrics.sqnr_db + 15.0
    spans = {layer.figures.input: layer.figures.input_range for layer in other.layers if layer.figures}
    assert spans["x"][1] < 50.0
    figures = {layer.figures.input: layer.figures for layer in other.layers if layer.figures}
    assert figures["x"].clip_fraction is not None
    assert figures["x"].sensitivity_db is not None


def test_few_samples_are_enough_to_measure(tmp_path: Any) -> None:
    result = quantized(tmp_path, two_matmuls(), {"x": tokens(20)}, calibration_method="measured")
    assert result.variants[1].metrics.sqnr_db > 25.0


class Answering:
    name, inputs, outputs = "answering", ("x",), ("y",)

    def __init__(self, answer: Any) -> None:
        self.answer = np.asarray(answer, np.float32)

    def run(self, feeds: Any, outputs: Any = None) -> Any:
        return {"y": self.answer}


def test_lost_answers_and_answers_of_another_shape_are_noise() -> None:
    expected = np.array([[3.0, 4.0], [-np.inf, 1.0]], np.float32)
    feeds = {"x": np.zeros((2, 1), np.float32)}
    held = HeldOut("y", (HeldOutBatch(feeds, None, expected, 2),))
    assert held.noises(Answering([[3, 5], [0, 1]])).tolist() == [1.0, 0.0]  # a mask has no error
    assert held.noises(Answering([[3, np.nan], [-np.inf, 1]])).tolist() == [1600.0, 0.0]
    assert held.noises(Answering([[3, 4]])).tolist() == [25.0, 1.0]
