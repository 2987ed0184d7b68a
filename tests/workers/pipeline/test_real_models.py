"""Two networks from packages, with data made on the spot: what hand-made models would never show."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from tests.real_data import MAGIKA, READER, READERS, files_as_bytes, lines_of_text
from workers.pipeline.__main__ import attempt
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask, QuantizeTask


def quantized(folder: Path, model: Path, samples: Any) -> Any:
    (folder / "model.onnx").write_bytes(model.read_bytes())
    np.savez(folder / "calibration.npz", **{k: v[::2] for k, v in samples.items()})
    np.savez(folder / "evaluation.npz", **{k: v[1::2] for k, v in samples.items()})
    task = QuantizeTask(
        model="model.onnx", calibration="calibration.npz", evaluation="evaluation.npz", model_name="m",
        target="onnxruntime-cpu", recipe=PRESETS["int8-fast"], objective=Objective(),
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=2,
    )  # fmt: skip
    return attempt(task, folder, Reporter(io.StringIO())).ok.outcome


def test_a_classifier_of_bytes(tmp_path: Path) -> None:
    result = quantized(tmp_path, MAGIKA, {"bytes": files_as_bytes(64)})
    metrics = result.variants[1].metrics
    assert metrics.agreement >= 0.9
    assert metrics.sqnr_db > 15
    assert metrics.size_bytes < result.variants[0].metrics.size_bytes / 3.5
    assert {layer.op_type for layer in result.layers if layer.quantized} == {"Conv", "MatMul"}


def test_a_reader_of_text_exported_by_paddle_at_opset_11(tmp_path: Path) -> None:
    result = quantized(tmp_path, READER, {"x": lines_of_text(16)})
    metrics = result.variants[1].metrics
    assert metrics.agreement is None  # positions are predictions only where labels say so
    assert metrics.sqnr_db > 10
    assert metrics.size_bytes < result.variants[0].metrics.size_bytes / 3.4
    (tmp_path / "upload").write_bytes(READER.read_bytes())
    foreseen = inspect_model(InspectModelTask(model="upload"), tmp_path, Reporter(io.StringIO())).inspection.estimate
    assert foreseen.quantized_bytes == pytest.approx(metrics.size_bytes, rel=0.1)
    quantized_convolutions = [layer for layer in result.layers if layer.op_type == "Conv" and layer.quantized]
    assert len(quantized_convolutions) == 57


@pytest.mark.parametrize("path", READERS, ids=lambda p: p.stem)
def test_every_packaged_reader_passes_inspection(path: Path, tmp_path: Path, reporter: Reporter) -> None:
    (tmp_path / "m").write_bytes(path.read_bytes())
    assert inspect_model(InspectModelTask(model="m"), tmp_path, reporter).inspection.op_counts["Conv"] > 50
