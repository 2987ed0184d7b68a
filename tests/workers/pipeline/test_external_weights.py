"""Jobs whose model keeps its weights in external data, against the same jobs with everything in one file."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import attention, sentences
from workers.ingestion.onnx_model import canonical
from workers.ingestion.onnx_model.canonical import ingest_onnx
from workers.pipeline.__main__ import attempt
from workers.pipeline.delivery import candidates
from workers.pipeline.methods import dynamic as plain_methods
from workers.protocol.outcome import Finished, Quantized
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.graph.model_file import fits_one_file, save_model


@pytest.fixture
def job(tmp_path: Path, reporter: Reporter, monkeypatch: Any) -> Any:
    """A function that ingests one model in either form, runs a job, and returns its outcome and its output folder."""
    (tmp_path / "upload.onnx").write_bytes(attention().SerializeToString())

    def run(preset: str, name: str, largest_file_bytes: int, provenance: Any = None) -> tuple[Any, Path]:
        monkeypatch.setattr(canonical, "LARGEST_FILE_BYTES", largest_file_bytes)
        scratch = tmp_path / name
        (scratch / "model").mkdir(parents=True, exist_ok=True)
        files = ingest_onnx(tmp_path / "upload.onnx", scratch / "model", reporter).files
        assert len(files) == (2 if largest_file_bytes < 1 << 20 else 1)
        np.savez(scratch / "data.npz", **sentences(24))
        task = QuantizeTask(
            model="model/model.onnx", calibration="data.npz", model_name="m", target="onnxruntime-cpu",
            recipe=PRESETS[preset], objective=Objective(), threads=1,  # type: ignore[index]
            benchmark=Benchmark(batch_sizes=(1,), duration_s=0.05), provenance=provenance or {},
        )  # fmt: skip
        outcome = attempt(task, scratch, reporter)
        assert isinstance(outcome, Finished), outcome
        assert isinstance(outcome.ok, Quantized)
        return outcome.ok.outcome, scratch / "outputs"

    return run


@pytest.mark.parametrize("preset", ["int8-fast", "int8-accurate", "float16"])
def test_the_result_is_the_same_to_the_last_bit(job: Any, preset: str) -> None:
    inside, inside_folder = job(preset, "inside", 1 << 30)
    outside, outside_folder = job(preset, "outside", 6000)
    assert [f.path for f in outside.files] == [f.path for f in inside.files]
    for file in (f for f in inside.files if f.kind == "model"):
        expected, found = (onnx.load_model(folder / file.path) for folder in (inside_folder, outside_folder))
        # weights are found in another order
        assert {t.name: t for t in found.graph.initializer} == {t.name: t for t in expected.graph.initializer}
        assert list(found.graph.node) == list(expected.graph.node)
    assert [v.metrics.sqnr_db for v in outside.variants] == [v.metrics.sqnr_db for v in inside.variants]


def test_the_dynamic_form_of_a_large_model_is_as_good(job: Any, monkeypatch: Any) -> None:
    theirs, _ = job("int8-dynamic", "inside", 1 << 30)
    monkeypatch.setattr(plain_methods, "_MOST_FOR_THE_TOOL", 0)
    ours, _ = job("int8-dynamic", "outside", 6000)
    assert ours.variants[1].metrics.sqnr_db > theirs.variants[1].metrics.sqnr_db - 1
    assert {x.node: x.quantized for x in ours.layers} == {x.node: x.quantized for x in theirs.layers}


def test_a_quantized_model_beyond_the_limit_is_two_files_that_belong_together(job: Any, monkeypatch: Any) -> None:
    for function in (fits_one_file, save_model):
        limited = functools.partial(function, largest_file_bytes=3000)
        monkeypatch.setattr(candidates, function.__name__, limited)
    known = {"model_sha256": "1" * 64, "calibration_sha256": "2" * 64}
    result, folder = job("int8-fast", "large", 6000, known)
    assert [(f.kind, f.path) for f in result.files] == [
        ("model", "m_int8_minmax.onnx"),
        ("model_data", "m_int8_minmax.onnx.data"),
        ("report", "report.json"),
    ]
    assert result.files[0].variant_key == result.files[1].variant_key == "minmax"
    sizes = [(folder / f.path).stat().st_size for f in result.files[:2]]
    assert result.variants[1].metrics.size_bytes == sum(sizes)
    written = onnx.load_model(folder / "m_int8_minmax.onnx")
    assert written.producer_name == "lowbit"
    # the step's result cannot be taken over: the next attempt makes it anew
    again, _ = job("int8-fast", "large", 6000, known)
    assert again.variants[1].metrics.sqnr_db == result.variants[1].metrics.sqnr_db
