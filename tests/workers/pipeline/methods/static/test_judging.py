"""`int8-accurate` is never worse than `int8-fast` on data that neither saw: what wins was better on such data."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from tests.workers.quantization.small_models import model_of, random_weights, two_matmuls
from workers.pipeline.__main__ import attempt
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask

n = helper.make_node
UNSEEN = 400


def job(folder: Path, model: onnx.ModelProto, calibration: Any, unseen: Any, **recipe: Any) -> tuple[Any, list[str]]:
    """The result, and what the log says."""
    folder.mkdir()
    chosen = PRESETS[recipe.pop("preset")].model_copy(update=recipe)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    np.savez(folder / "calibration.npz", **calibration)
    np.savez(folder / "evaluation.npz", **unseen)
    task = QuantizeTask(
        model="model.onnx", calibration="calibration.npz", evaluation="evaluation.npz", model_name="m",
        target="onnxruntime-cpu", recipe=chosen, objective=Objective(),
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=1,
    )  # fmt: skip
    out = io.StringIO()
    done = attempt(task, folder, Reporter(out))
    assert hasattr(done, "ok"), done
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    return done.ok.outcome, [event["message"] for event in told if event["event"] == "log"]


def codes(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "outputs").glob("*.onnx")
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def many_channels() -> onnx.ModelProto:
    """A product over 64 channels, whose reaches differ so that smoothing promises much."""
    weights = random_weights(np.random.default_rng(3), w1=(64, 48), b1=(48,), w2=(48, 6), b2=(6,))
    nodes = [
        n("Gemm", ["x", "w1", "b1"], ["h"], name="up"),
        n("Relu", ["h"], ["r"], name="relu"),
        n("Gemm", ["r", "w2", "b2"], ["y"], name="down"),
    ]
    return model_of(nodes, weights, inputs={"x": ["n", 64]}, outputs={"y": ["n", 6]})


def rows(samples: int, seed: int) -> Any:
    """Every channel has rare values far beyond all others, so that new rows leave any range of one channel."""
    rng = np.random.default_rng(seed)
    spread = np.exp(np.random.default_rng(9).normal(size=64))
    rare = np.where(rng.random((samples, 64)) < 0.004, 12.0, 1.0)
    return {"x": (rng.normal(size=(samples, 64)) * spread * rare).astype(np.float32)}


@pytest.mark.parametrize("samples", [32, 64, 128, 512])
def test_accurate_is_not_worse_than_fast_where_new_rows_leave_the_ranges_of_channels(
    tmp_path: Path, samples: int
) -> None:
    calibration, unseen = rows(samples, 1), rows(UNSEEN, 2)
    fast, _ = job(tmp_path / "fast", many_channels(), calibration, unseen, preset="int8-fast")
    accurate, log = job(tmp_path / "accurate", many_channels(), calibration, unseen, preset="int8-accurate")
    assert accurate.variants[1].metrics.sqnr_db >= fast.variants[1].metrics.sqnr_db - 0.05
    judged = [line for line in log if line.startswith("On ")]
    count = samples if samples < 256 else samples // 4
    assert judged[0].startswith(f"On {count} held-out samples, which shaped nothing of it: the plain form ")
    assert any("the plain form, biases corrected" in line for line in judged)
    assert any("smoothed" in line for line in judged)


@pytest.mark.parametrize("equalize", ["off", "on"])
def test_where_nothing_is_better_the_file_is_that_of_fast(tmp_path: Path, equalize: Any) -> None:
    """Seven samples can show nothing."""
    calibration, unseen = rows(7, 1), rows(UNSEEN, 2)
    fast, _ = job(tmp_path / "fast", many_channels(), calibration, unseen, preset="int8-fast")
    accurate, log = job(
        tmp_path / "accurate", many_channels(), calibration, unseen, preset="int8-accurate", equalize=equalize,
        runtime_form=False,
    )  # fmt: skip
    assert accurate.variants[1].metrics.sqnr_db == fast.variants[1].metrics.sqnr_db
    assert not any("taken:" in line.lower() for line in log)
    one, other = codes(tmp_path / "fast"), codes(tmp_path / "accurate")
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array)
    figures = [layer.figures for layer in accurate.variants[1].layers if layer.figures]
    assert {(f.rounding, f.smoothquant_alpha, f.bias_corrected) for f in figures} == {("nearest", None, False)}


def test_one_sample_is_enough_for_the_plain_form_and_the_log_does_not_speak_of_held_out_samples(tmp_path: Path) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(1, 3, 16)).astype(np.float32)}
    result, log = job(tmp_path / "job", two_matmuls(), x, x, preset="int8-accurate")
    assert result.variants[1].key == "minmax"
    assert not any("held-out" in line for line in log)
    assert any("unjudged" in line for line in log)


def test_what_is_better_on_samples_that_shaped_nothing_is_taken(tmp_path: Path) -> None:
    """Three inputs of thirty times the size, behind which all others lose their digits."""
    spread = np.where(np.arange(64) % 21 == 0, 30.0, 1.0)

    def normal(samples: int, seed: int) -> Any:
        values = np.random.default_rng(seed).normal(size=(samples, 64)) * spread
        return {"x": values.astype(np.float32)}

    for samples in (64, 512):
        one, other = tmp_path / f"fast{samples}", tmp_path / f"accurate{samples}"
        fast, _ = job(one, many_channels(), normal(samples, 1), normal(UNSEEN, 2), preset="int8-fast")
        accurate, log = job(other, many_channels(), normal(samples, 1), normal(UNSEEN, 2), preset="int8-accurate")
        assert any(line.startswith("Taken: ") and "smoothed" in line for line in log)
        assert accurate.variants[1].metrics.sqnr_db > fast.variants[1].metrics.sqnr_db + 2.0


def test_equalization_too_has_to_be_better_than_the_graph_as_it_was(tmp_path: Path) -> None:
    """The plain form is that of the graph without equalization, whose ranges are other ones."""
    calibration, unseen = rows(64, 1), rows(UNSEEN, 2)
    fast, _ = job(tmp_path / "fast", many_channels(), calibration, unseen, preset="int8-fast")
    forced, _ = job(tmp_path / "accurate", many_channels(), calibration, unseen, preset="int8-accurate", equalize="on")
    assert forced.variants[1].metrics.sqnr_db >= fast.variants[1].metrics.sqnr_db - 0.05
