"""Two networks from packages, with data made on the spot: what hand-made models would never show."""

import io
import random
from pathlib import Path
from typing import Any

import magika
import numpy as np
import pytest
import rapidocr
from PIL import Image, ImageDraw, ImageFont

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipe import PRESETS
from workers.pipeline.__main__ import attempt
from workers.pipeline.model_inspection import inspect_model
from workers.pipeline.protocol import QuantizeTask
from workers.pipeline.reporter import Reporter

MAGIKA = next(Path(magika.__file__).parent.glob("models/*/model.onnx"))
READER = next(Path(rapidocr.__file__).parent.glob("models/*rec*.onnx"))


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


def head_and_tail(path: Path) -> Any:
    """What magika reads of a file: its first and last 1,024 bytes, 256 where there are none."""
    data = path.read_bytes()
    tokens = np.full(2048, 256, np.int32)
    head, tail = data[:1024], data[-1024:]
    tokens[: len(head)] = list(head)
    tokens[2048 - len(tail) :] = list(tail)
    return tokens


def line_of_text(rng: Any) -> Any:
    """A rendered line as the reader wants it: [3, 48, 160], -1..1."""
    words = " ".join(rng.choice(["model", "12.5%", "Invoice", "total", "2026", "street"]) for _ in range(2))
    image = Image.new("RGB", (160, 48), (rng.randint(200, 255),) * 3)
    font = ImageFont.load_default(rng.randint(18, 24))
    ImageDraw.Draw(image).text((4, 10), words, fill=(rng.randint(0, 80),) * 3, font=font)
    pixels = np.asarray(image, np.float32) / 127.5 - 1.0
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def test_a_classifier_of_bytes(tmp_path: Path) -> None:
    files = sorted(p for p in Path(magika.__file__).parents[1].glob("*/*.*") if p.is_file() and p.stat().st_size > 100)
    chosen = random.Random(0).sample(files, 64)
    result = quantized(tmp_path, MAGIKA, {"bytes": np.stack([head_and_tail(p) for p in chosen])})
    metrics = result.variants[1].metrics
    assert metrics.agreement >= 0.9
    assert metrics.sqnr_db > 15
    assert metrics.size_bytes < result.variants[0].metrics.size_bytes / 3.5
    assert {layer.op_type for layer in result.layers if layer.quantized} == {"Conv", "MatMul"}


def test_a_reader_of_text_exported_by_paddle_at_opset_11(tmp_path: Path) -> None:
    rng = random.Random(0)
    result = quantized(tmp_path, READER, {"x": np.stack([line_of_text(rng) for _ in range(16)])})
    metrics = result.variants[1].metrics
    assert metrics.agreement >= 0.9
    assert metrics.size_bytes < result.variants[0].metrics.size_bytes / 3.4
    quantized_convolutions = [layer for layer in result.layers if layer.op_type == "Conv" and layer.quantized]
    assert len(quantized_convolutions) == 57


@pytest.mark.parametrize("path", sorted(Path(rapidocr.__file__).parent.glob("models/*.onnx")), ids=lambda p: p.stem)
def test_every_packaged_reader_passes_inspection(path: Path, reporter: Reporter) -> None:
    assert inspect_model(path, reporter).inspection.op_counts["Conv"] > 50
