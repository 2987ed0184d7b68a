"""Every preset through the service: what it makes, what it says of each layer, what is delivered."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnxruntime
import pytest

from tests.e2e import dense, tiny
from tests.e2e.conversation import finished, is_problem, made_once
from tests.servers.service import Service


def _job(http: httpx2.Client, recipe: dict[str, Any], *, samples: int = 300) -> dict[str, Any]:
    body = {
        "model_id": made_once(http, dense.model_bytes(), "models"),
        "calibration_dataset_id": made_once(http, tiny.npz_bytes(x=dense.rows(samples)), "datasets"),
        "recipe": recipe,
        "benchmark": tiny.QUICK_BENCHMARK,
    }
    made = http.post("/v1/jobs", json=body)
    assert made.status_code == 202, made.text
    job = finished(http, made.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    return job


def _variants(http: httpx2.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get(job["links"]["variants"]).json()["data"]
    return found


def _layers(http: httpx2.Client, variant: dict[str, Any]) -> list[dict[str, Any]]:
    listed = http.get(variant["links"]["layers"]).json()
    assert (listed["object"], listed["variant_id"], listed["has_more"]) == ("list", variant["id"], False)
    found: list[dict[str, Any]] = listed["data"]
    return found


@pytest.fixture(scope="module")
def accurate(http: httpx2.Client) -> dict[str, Any]:
    return _job(http, {"preset": "int8-accurate"})


def test_the_runtimes_form_comes_with_the_portable_one(http: httpx2.Client, accurate: dict[str, Any]) -> None:
    candidates = [v for v in _variants(http, accurate) if v["role"] == "candidate"]
    (own,) = [v for v in candidates if len(v["artifacts"]) > 1]
    measured, portable = own["artifacts"]
    assert measured["filename"] == portable["filename"].replace(".onnx", "_ort.onnx")
    assert measured["bytes"] == own["metrics"]["size_bytes"]
    contents = [http.get(file["links"]["content"]).content for file in (measured, portable)]
    assert any(name.startswith("com.microsoft:") for name in dense.operators(contents[0]))
    assert all(name.startswith(":") for name in dense.operators(contents[1]))
    one, other = (onnxruntime.InferenceSession(c).run(None, {"x": dense.rows(50)})[0] for c in contents)
    # the same integers; only float additions change their order, so now and then a hidden value rounds the other way
    alike = np.isclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max()).all(axis=1)
    assert alike.mean() > 0.9
    (alone,) = [v for v in candidates if v is not own]
    assert [file["sha256"] for file in alone["artifacts"]] == [portable["sha256"]]


def test_each_layer_has_its_figures(http: httpx2.Client, accurate: dict[str, Any]) -> None:
    best = next(v for v in _variants(http, accurate) if v["best"])
    layers = [layer for layer in _layers(http, best) if layer["figures"]]
    assert [layer["node"] for layer in layers] == ["dense1", "dense2"]  # as in the graph, not by name or quality
    for layer in layers:
        figures = layer["figures"]
        assert layer["quantized"]
        assert layer["reason"]
        assert figures["rounding"] == "gptq"
        assert figures["input_range"][0] < figures["input_range"][1]
        assert figures["range_method"]
        for name in ("weight_sqnr_db", "input_sqnr_db", "output_sqnr_db", "sensitivity_db"):
            assert 10 < figures[name] < 100, name  # of 8 bits: 6 dB a bit, plus or minus what the ranges waste


def test_the_report_and_the_layers_say_the_same(http: httpx2.Client, accurate: dict[str, Any]) -> None:
    artifacts = http.get(accurate["links"]["artifacts"]).json()["data"]
    report = json.loads(http.get(next(a for a in artifacts if a["kind"] == "report")["links"]["content"]).content)
    by_label = {v["label"]: _layers(http, v) for v in _variants(http, accurate)}
    assert by_label == {v["label"]: v["layers"] for v in report["variants"]}
    assert by_label["float"] == []


def test_an_unknown_variant_has_no_layers(http: httpx2.Client) -> None:
    for variant_id in ("var_" + "0" * 32, "x", "job_1"):
        is_problem(http.get(f"/v1/variants/{variant_id}/layers"), 404, "not_found")


def test_the_command_downloads_both_forms_and_shows_the_layers(
    service: Service, http: httpx2.Client, accurate: dict[str, Any], tmp_path: Path
) -> None:
    own = next(v for v in _variants(http, accurate) if len(v["artifacts"]) > 1)
    assert _lowbit(service, "download", own["id"], "-o", str(tmp_path / "both")).returncode == 0
    assert {path.name for path in (tmp_path / "both").iterdir()} == {file["filename"] for file in own["artifacts"]}
    best = next(v for v in _variants(http, accurate) if v["best"])
    downloaded = _lowbit(service, "download", accurate["id"], "-o", str(tmp_path / "out"))
    names = [Path(line).name for line in downloaded.stdout.splitlines()]
    assert names == [*(file["filename"] for file in best["artifacts"]), "report.json"]
    shown = _lowbit(service, "jobs", "layers", accurate["id"])
    assert shown.returncode == 0, shown.stderr
    assert [line.split()[:3] for line in shown.stdout.splitlines() if line.startswith("dense")] == [
        ["dense1", "MatMul", "yes"],
        ["dense2", "MatMul", "yes"],
    ]
    listed = _lowbit(service, "jobs", "layers", own["id"], "--format", "json")
    assert json.loads(listed.stdout)["data"] == _layers(http, own)
    assert _lowbit(service, "jobs", "layers", "var_" + "0" * 32).returncode == 5


@pytest.mark.parametrize(
    ("preset", "smaller", "least_db"),
    [
        ("int8-dynamic", 2.0, 20.0),  # weights of one byte instead of four, less what the graph itself takes
        ("float16", 1.5, 50.0),  # eleven bits of mantissa: 60 dB and more
    ],
)
def test_methods_that_need_no_calibration(http: httpx2.Client, preset: str, smaller: float, least_db: float) -> None:
    job = _job(http, {"preset": preset})
    best = job["result"]["best"]
    assert best["size_bytes"] < job["result"]["baseline"]["size_bytes"] / smaller
    assert best["sqnr_db"] > least_db
    (candidate,) = [v for v in _variants(http, job) if v["role"] == "candidate"]
    layers = {layer["node"]: layer for layer in _layers(http, candidate)}
    assert {"dense1", "dense2"} <= set(layers)
    assert all(layer["quantized"] and layer["reason"] for layer in layers.values())
    content = http.get(candidate["artifacts"][0]["links"]["content"]).content
    scores = onnxruntime.InferenceSession(content).run(None, {"x": dense.rows(5)})[0]
    assert scores.shape == (5, 4)
    assert scores.dtype == np.float32


def test_fields_set_on_the_command_line_arrive_as_what_they_are(service: Service, tmp_path: Path) -> None:
    model, calibration, _ = tiny.write_files(tmp_path)
    changes = ("smoothquant_alpha=0.85", "equalize=on", "bias_correction=true", "calibration_samples=16")
    assignments = [word for change in changes for word in ("--set", f"recipe.{change}")]
    started = ("quantize", str(model), "--calibration", str(calibration), "--dry-run", "--format", "json")
    done = _lowbit(service, *started, *assignments)
    assert done.returncode == 0, done.stderr
    recipe = json.loads(done.stdout)["resolved_recipe"]
    found = {name: recipe[name] for name in ("smoothquant_alpha", "equalize", "bias_correction", "calibration_samples")}
    assert found == {
        "smoothquant_alpha": 0.85,
        "equalize": "on",
        "bias_correction": True,
        "calibration_samples": 16,
    }
    refused = _lowbit(service, *started, "--set", "recipe.smoothquant_alpha=1.5")
    assert refused.returncode == 1
    assert "/recipe/smoothquant_alpha" in refused.stderr
    unread = _lowbit(service, *started, "--recipe", "float16", "--set", "recipe.equalize=on")
    assert unread.returncode == 1
    assert "/recipe/equalize" in unread.stderr
    assert "Leave `equalize` out" in unread.stderr


def _lowbit(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lowbit")), *arguments]
    return subprocess.run(command, env=service.environment(), capture_output=True, text=True, timeout=300, check=False)
