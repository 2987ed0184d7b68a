"""Data that says how it becomes a model's inputs, from the upload to the answer about a job, with a real worker."""

import json
from typing import Any

import httpx2
import pytest

from tests.e2e import tiny
from tests.e2e.conversation import awaited, is_problem, resource, upload

ROWS = [{"review": "fine", "stars": "good"}, {"review": "poor", "stars": "bad"}] * 20
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
TEXT = {"kind": "text", "text": "review", "label": "stars", "classes": ["bad", "good"]}


def inspected(http: httpx2.Client, content: bytes, **fields: Any) -> dict[str, Any]:
    file_id = upload(http, content, "dataset").json()["id"]
    made = http.post("/v1/datasets", json={"file_id": file_id, **fields})
    assert made.status_code == 201, made.text
    assert made.json()["status"] == "inspecting"
    return awaited(http, made.headers["Location"], lambda found: found["status"] != "inspecting")


@pytest.fixture(scope="module")
def reviews(http: httpx2.Client) -> dict[str, Any]:
    return inspected(http, JSONL, preparation=TEXT)


def test_texts_are_shown_with_what_was_declared(reviews: dict[str, Any]) -> None:
    assert (reviews["status"], reviews["format"], reviews["num_samples"]) == ("ready", "jsonl", 40), reviews
    assert reviews["preparation"].items() >= TEXT.items()
    assert reviews["has_labels"]
    assert reviews["preview"][0] == ROWS[0]
    assert {column["name"]: column["dtype"] for column in reviews["columns"]}["review"] == "string"


def test_a_preparation_that_does_not_fit_the_columns_is_rejected(http: httpx2.Client) -> None:
    found = inspected(http, JSONL, preparation={**TEXT, "text": "title"})
    assert (found["status"], found["problem"]["code"]) == ("rejected", "preparation_invalid"), found
    assert found["preparation"]["text"] == "title"  # what was declared, which is what is wrong


def test_texts_need_a_model_with_a_tokenizer(http: httpx2.Client, reviews: dict[str, Any]) -> None:
    model = resource(http, tiny.model_bytes(), "models")
    body = {"model_id": model["id"], "calibration_dataset_id": reviews["id"]}
    found = is_problem(http.post("/v1/jobs", json=body), 422, "tokenizer_missing")
    assert found["errors"][0]["pointer"] == "/calibration_dataset_id"


def test_arrays_are_inputs_already(http: httpx2.Client) -> None:
    found = inspected(http, tiny.calibration_bytes())
    assert (found["status"], found["format"], found["preparation"]) == ("ready", "npz", None), found


def test_a_job_is_validated_before_there_is_data_and_with_it(http: httpx2.Client) -> None:
    model = resource(http, tiny.model_bytes(), "models")
    before = http.post("/v1/jobs/validate", json={"model_id": model["id"]}).json()
    assert (before["ok"], before["warnings"]) == (True, [])
    data = resource(http, tiny.calibration_bytes(8), "datasets")
    named = {"model_id": model["id"], "calibration_dataset_id": data["id"], "evaluation_dataset_id": data["id"]}
    after = http.post("/v1/jobs/validate", json=named).json()
    assert after["ok"]
    assert {warning["code"] for warning in after["warnings"]} == {"evaluation_is_calibration", "few_samples"}
