"""`lowbit` as a person types it, against the real service: what it prints, what it writes, how it ends."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.e2e import tiny
from tests.real_data import MAGIKA, READER, files_as_bytes, lines_of_text
from tests.servers.service import Service

QUICK = ("--set", "benchmark.duration_s=0.2", "--set", "benchmark.batch_sizes=[1,4]")


def _lowbit(service: Service, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lowbit")), *map(str, arguments)],
        env={**service.environment(), **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def _quantize(service: Service, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    model, calibration, evaluation = tiny.write_files(folder)
    data = ("--calibration", calibration, "--evaluation", evaluation)
    return _lowbit(service, "quantize", model, *data, "--output", folder / "out", *QUICK, *arguments)


def test_quantize_prints_one_json_object_and_writes_the_files(service: Service, tmp_path: Path) -> None:
    done = _quantize(service, tmp_path, "--max-accuracy-drop", "0.5", "--format", "json")
    assert done.returncode == 0, done.stderr
    job: dict[str, Any] = json.loads(done.stdout)
    assert job["status"] == "succeeded"
    for side in ("baseline", "best"):
        assert {"accuracy", "size_bytes", "latency_ms"} <= set(job["result"][side])
        assert job["result"][side]["latency_ms"]["p50"] > 0
    assert 0 < job["result"]["best"]["agreement"] <= 1
    assert len(job["variants"]) == 5
    files = [Path(path) for path in job["files"]]
    assert {path.suffix for path in files} == {".onnx", ".json"}
    assert all(path.parent == tmp_path / "out" for path in files)
    onnxruntime.InferenceSession(next(path for path in files if path.suffix == ".onnx"))
    assert "succeeded" in done.stderr


def test_quantize_tells_a_person_the_verdict(service: Service, tmp_path: Path) -> None:
    done = _quantize(service, tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("accuracy", "agreement", "size", "latency", "int8", "float"):
        assert word in done.stdout


def test_a_goal_that_is_not_met_is_exit_code_3(service: Service, tmp_path: Path) -> None:
    (tmp_path / "hard.npz").write_bytes(tiny.evaluation_bytes(400))
    goal = ("--max-accuracy-drop", "0", "--set", "recipe.percentiles=[90.0]", "--evaluation", tmp_path / "hard.npz")
    done = _quantize(service, tmp_path, *goal)
    assert done.returncode == 3, done.stdout + done.stderr


def test_a_dry_run_makes_no_job(service: Service, tmp_path: Path) -> None:
    with service.client() as http:
        before = http.get("/v1/jobs", params={"limit": 1}).json()["last_id"]
        assert _quantize(service, tmp_path, "--dry-run").returncode == 0
        assert http.get("/v1/jobs", params={"limit": 1}).json()["last_id"] == before


def test_what_goes_wrong_has_its_exit_code_and_its_words(service: Service, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(tiny.model_bytes()[:-700])
    (tmp_path / "calibration.npz").write_bytes(tiny.calibration_bytes())
    rejected = _lowbit(service, "quantize", tmp_path / "broken.onnx", "--calibration", tmp_path / "calibration.npz")
    assert (rejected.returncode, "not a whole ONNX model" in rejected.stderr) == (1, True)
    assert _lowbit(service, "jobs", "show", "job_" + "0" * 32).returncode == 5
    assert _lowbit(service, "jobs", "list", LOWBIT_TOKEN="lb_wrong").returncode == 4
    assert _lowbit(service, "jobs", "list", LOWBIT_URL="http://127.0.0.1:9").returncode == 6
    assert _lowbit(service, "quantize").returncode == 2
    for arguments in (["quantise"], ["jobs", "--colour"]):
        done = _lowbit(service, *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_detached_job_is_found_again_and_downloaded(service: Service, tmp_path: Path) -> None:
    detached = _quantize(service, tmp_path, "--detach", "--format", "quiet")
    assert detached.returncode == 0, detached.stderr
    job_id = detached.stdout.strip()
    assert job_id.startswith("job_")
    assert _lowbit(service, "jobs", "wait", job_id).returncode == 0
    assert job_id in _lowbit(service, "jobs", "list").stdout
    downloaded = _lowbit(service, "download", job_id, "-o", tmp_path / "again")
    assert downloaded.returncode == 0, downloaded.stderr
    assert {path.suffix for path in (tmp_path / "again").iterdir()} == {".onnx", ".json"}


@pytest.mark.parametrize(
    ("model", "arrays", "holds_classes"),
    [(MAGIKA, lambda: {"bytes": files_as_bytes(64)}, True), (READER, lambda: {"x": lines_of_text(24)}, False)],
    ids=["file types", "text lines"],
)
def test_real_networks_go_through_the_service(
    service: Service, tmp_path: Path, model: Path, arrays: Any, holds_classes: bool
) -> None:
    data = arrays()
    np.savez(tmp_path / "calibration.npz", **{name: rows[::2] for name, rows in data.items()})
    np.savez(tmp_path / "evaluation.npz", **{name: rows[1::2] for name, rows in data.items()})
    done = _lowbit(
        service,
        *(
            "quantize",
            model,
            "--calibration",
            tmp_path / "calibration.npz",
            "--evaluation",
            tmp_path / "evaluation.npz",
        ),
        *("--recipe", "int8-fast", "--output", tmp_path / "out", "--format", "json"),
        *("--set", "benchmark.duration_s=0.5", "--set", "benchmark.batch_sizes=[1]"),
    )
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    best = job["result"]["best"]
    assert best["size_bytes"] < job["result"]["baseline"]["size_bytes"] / 3
    assert 0.8 < best["agreement"] <= 1.0 if holds_classes else best["agreement"] is None
    assert best["outputs"][0]["sqnr_db"] > 8.0
    path = next(path for path in job["files"] if path.endswith(".onnx"))
    onnx.checker.check_model(path)
    outputs = onnxruntime.InferenceSession(path).run(None, {name: rows[:2] for name, rows in data.items()})
    assert all(np.isfinite(output).all() for output in outputs)
