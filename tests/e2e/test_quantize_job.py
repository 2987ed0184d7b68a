"""From an uploaded float model to a downloaded int8 one, over HTTP, with real servers and a real worker."""

import hashlib
import io
import json
from typing import Any

import httpx2
import numpy as np
import onnx
import onnxruntime
import pytest

from tests.e2e import tiny
from tests.e2e.conversation import finished, job_body, resource

STAGES = ["fetch", "inspect", "baseline", "calibrate", "quantize", "evaluate", "benchmark", "package"]


@pytest.fixture(scope="module")
def job(http: httpx2.Client) -> dict[str, Any]:
    """A finished job with a goal."""
    evaluation = resource(http, tiny.evaluation_bytes(), "datasets")
    body = job_body(
        http, evaluation_dataset_id=evaluation["id"], objective={"max_accuracy_drop": 0.5}, labels={"a": "b"}
    )
    made = http.post("/v1/jobs", json=body)
    assert made.status_code == 202, made.text
    assert made.json()["status"] == "queued"
    assert made.headers["Location"] == f"/v1/jobs/{made.json()['id']}"
    return finished(http, made.json()["id"])


def _artifacts(http: httpx2.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = http.get(job["links"]["artifacts"]).json()["data"]
    return listed


def test_the_job_succeeds_and_says_how(job: dict[str, Any]) -> None:
    assert job["status"] == "succeeded", job
    assert job["error"] is None
    assert [stage["name"] for stage in job["stages"]] == STAGES
    assert all(stage["status"] == "succeeded" and stage["duration_s"] >= 0 for stage in job["stages"])
    result = job["result"]
    assert result["outcome"] == "objective_met"
    assert result["baseline"]["accuracy"] == 1.0  # the labels are the float model's own predictions
    assert 0.5 <= result["best"]["accuracy"] <= 1.0
    assert result["best"]["accuracy"] == result["best"]["agreement"]
    assert result["best"]["samples"] == 100
    assert result["best"]["sqnr_db"] > 20
    assert result["best"]["size_bytes"] < result["baseline"]["size_bytes"]
    assert result["best"]["latency_ms"]["p50"] > 0
    assert job["labels"] == {"a": "b"}
    assert job["recipe"]["preset"] == "int8-balanced"


def test_every_candidate_is_listed_with_the_float_baseline(http: httpx2.Client, job: dict[str, Any]) -> None:
    variants = http.get(job["links"]["variants"]).json()["data"]
    assert [v["role"] for v in variants].count("baseline") == 1
    assert sorted(v["percentile"] for v in variants if v["role"] == "candidate") == [99.9, 99.99, 99.999, 100.0]
    best = [v for v in variants if v["best"]]
    assert [v["id"] for v in best] == [job["result"]["best_variant_id"]]
    assert http.get(f"/v1/variants/{best[0]['id']}").json() == best[0]


def test_the_downloaded_model_runs_in_plain_onnx_runtime(http: httpx2.Client, job: dict[str, Any]) -> None:
    best = job["result"]["best_variant_id"]
    artifact = next(a for a in _artifacts(http, job) if a["kind"] == "model" and a["variant_id"] == best)
    content = http.get(artifact["links"]["content"]).content
    assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
    assert len(content) == artifact["bytes"] == job["result"]["best"]["size_bytes"]
    onnx.checker.check_model(tiny.load(content), full_check=True)
    data = np.load(io.BytesIO(tiny.evaluation_bytes()))
    scores = onnxruntime.InferenceSession(content).run(None, {"image": data["image"]})[0]
    accuracy = (scores.argmax(axis=1) == data["labels"]).mean()
    assert accuracy == pytest.approx(job["result"]["best"]["accuracy"])
    operators = {node.op_type for node in tiny.load(content).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


def test_the_report_says_what_became_of_each_layer(http: httpx2.Client, job: dict[str, Any]) -> None:
    artifact = next(a for a in _artifacts(http, job) if a["kind"] == "report")
    report = json.loads(http.get(artifact["links"]["content"]).content)
    layers = {layer["node"]: layer for layer in report["layers"]}
    assert {"conv1", "conv2", "classifier"} <= set(layers)
    assert all(layer["reason"] for layer in layers.values())
    assert report["environment"]["runtime_version"] == onnxruntime.__version__


def test_a_goal_that_is_not_met_is_an_outcome_and_no_error(http: httpx2.Client) -> None:
    """With labels that only the float model's rounding meets, percentile 90 must lose; no drop at all is allowed."""
    evaluation = resource(http, tiny.evaluation_bytes(400), "datasets")
    body = job_body(
        http,
        evaluation_dataset_id=evaluation["id"],
        recipe={"percentiles": [90.0]},
        objective={"max_accuracy_drop": 0.0},
    )
    job = finished(http, http.post("/v1/jobs", json=body).json()["id"])
    assert job["status"] == "succeeded"
    assert job["result"]["best"]["accuracy"] < 1.0
    assert job["result"]["outcome"] == "objective_unmet"


def test_without_evaluation_data_agreement_is_measured_and_accuracy_is_not(http: httpx2.Client) -> None:
    job = finished(http, http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()["id"])
    assert job["status"] == "succeeded", job
    assert job["result"]["outcome"] == "no_objective"
    assert job["result"]["best"]["accuracy"] is None
    assert job["result"]["best"]["agreement"] > 0.5
    assert "evaluated_on_calibration_data" in [w["code"] for w in job["warnings"]]


def test_nodes_can_be_left_in_float(http: httpx2.Client) -> None:
    recipe = {"preset": "int8-fast", "nodes_to_exclude": ["conv1"]}
    job = finished(http, http.post("/v1/jobs", json=job_body(http, recipe=recipe)).json()["id"])
    report = next(a for a in _artifacts(http, job) if a["kind"] == "report")
    layers = {layer["node"]: layer["quantized"] for layer in http.get(report["links"]["content"]).json()["layers"]}
    assert layers["conv1"] is False
    assert layers["conv2"] is True


def test_an_unknown_node_fails_the_job_with_a_code(http: httpx2.Client) -> None:
    recipe = {"preset": "int8-fast", "nodes_to_exclude": ["no_such_node"]}
    job = finished(http, http.post("/v1/jobs", json=job_body(http, recipe=recipe)).json()["id"])
    assert job["status"] == "failed"
    assert job["error"]["code"] == "recipe_node_not_found"
    assert "no_such_node" in job["error"]["detail"]
