"""What is known to fail is refused, and what is worth knowing said, from rows alone. No worker is there."""

import json
from typing import Any

import httpx2
import pytest

from app.contracts.inspection import DatasetInspection, Estimate, TokenizerInspection
from app.contracts.preparation import TextPreparation
from tests.app.contracts.inspections import data, model
from tests.app.jobs.conftest import Ready
from tests.e2e.conversation import is_problem
from tests.servers.postgres import Database

READER = model(
    ("input_ids", "int64", ("n", "t")),
    outputs=[("logits", "float32", ("n", 2))],
    tokenizer=TokenizerInspection(vocabulary=9, max_length=16, pads=True),
)
REVIEWS = data(("text", "string", (99,)), format="jsonl", preparation=TextPreparation())
NUMBERS = data(("input_ids", "int64", (99, 8)), ("labels", "int64", (99,), (0, 1)), has_labels=True)


def validate(http: httpx2.Client, **body: Any) -> dict[str, Any]:
    response = http.post("/v1/jobs/validate", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in found]


def test_a_job_can_be_validated_before_its_data_is_there(http: httpx2.Client, ready: Ready) -> None:
    of = ready(READER)
    found = validate(http, model_id=of, objective={"max_accuracy_drop": 0.01})
    assert (found["ok"], found["problems"], found["warnings"]) == (True, [], [])
    assert found["resolved_recipe"]["preset"] == "int8-balanced"
    quantized = ready(READER.model_copy(update={"already_quantized": True}))
    found = validate(http, model_id=quantized, target="abacus")
    assert codes(found["problems"]) == ["target_unavailable"]
    assert codes(validate(http, model_id=quantized)["problems"]) == ["model_already_quantized"]
    refused = is_problem(http.post("/v1/jobs", json={"model_id": of}), 422, "validation_error")
    assert refused["errors"][0]["pointer"] == "/calibration_dataset_id"


def test_validation_names_what_does_not_exist(http: httpx2.Client, ready: Ready) -> None:
    nowhere = "ds_" + "0" * 32
    found = validate(http, model_id=ready(READER), calibration_dataset_id=nowhere, evaluation_dataset_id=nowhere)
    pointers = [problem["errors"][0]["pointer"] for problem in found["problems"]]
    assert (codes(found["problems"]), pointers) == (
        ["not_found"] * 2,
        ["/calibration_dataset_id", "/evaluation_dataset_id"],
    )


def test_texts_that_fit_are_accepted(http: httpx2.Client, ready: Ready) -> None:
    body = {"model_id": ready(READER), "calibration_dataset_id": ready(REVIEWS)}
    assert validate(http, **body)["problems"] == []
    made = http.post("/v1/jobs", json=body)
    assert made.status_code == 202, made.text
    http.post(f"/v1/jobs/{made.json()['id']}/cancel")


@pytest.mark.parametrize(
    ("changes", "dataset", "code"),
    [
        ({"tokenizer": None}, REVIEWS, "tokenizer_missing"),
        ({}, REVIEWS.model_copy(update={"preparation": None}), "preparation_missing"),
        ({}, REVIEWS.model_copy(update={"preparation": TextPreparation(max_length=17)}), "preparation_invalid"),
        ({}, data(("image", "image", (9,)), format="images"), "preparation_missing"),
        ({}, data(("input_ids", "int32", (99, 8))), "calibration_dtype_mismatch"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_the_field(
    http: httpx2.Client, ready: Ready, changes: dict[str, Any], dataset: DatasetInspection, code: str
) -> None:
    fine = ready(NUMBERS)
    body = {"model_id": ready(READER.model_copy(update=changes)), "calibration_dataset_id": ready(dataset)}
    found = is_problem(http.post("/v1/jobs", json=body), 422, code)
    assert found["errors"][0]["pointer"] == "/calibration_dataset_id"
    assert found["hint"]
    swapped = {**body, "calibration_dataset_id": fine, "evaluation_dataset_id": body["calibration_dataset_id"]}
    found = is_problem(http.post("/v1/jobs", json=swapped), 422, code)
    assert found["errors"][0]["pointer"] == "/evaluation_dataset_id"


def test_labels_that_are_no_classes_are_refused_where_they_would_be_scored(http: httpx2.Client, ready: Ready) -> None:
    wrong = ready(
        NUMBERS.model_copy(
            update={"columns": data(("input_ids", "int64", (99, 8)), ("labels", "int64", (99,), (0, 2))).columns}
        )
    )
    fine, of = ready(NUMBERS), ready(READER)
    for calibration, evaluation, pointer in (
        (wrong, None, "/calibration_dataset_id"),
        (fine, wrong, "/evaluation_dataset_id"),
        (wrong, fine, None),
    ):
        named = {"model_id": of, "calibration_dataset_id": calibration, "evaluation_dataset_id": evaluation}
        problems = validate(http, **named)["problems"]
        assert codes(problems) == (["labels_invalid"] if pointer else [])
        assert [problem["errors"][0]["pointer"] for problem in problems] == ([pointer] if pointer else [])


def test_warnings_come_from_the_rows_alone(http: httpx2.Client, ready: Ready) -> None:
    few = NUMBERS.model_copy(update={"num_samples": 3})
    one, same = (ready(few, sha256="same bytes") for _ in range(2))
    body = {"model_id": ready(READER), "calibration_dataset_id": one, "evaluation_dataset_id": same}
    found = validate(http, **body)
    assert found["ok"]
    assert codes(found["warnings"]) == ["evaluation_is_calibration", "few_samples"]
    assert all(warning["detail"] for warning in found["warnings"])


def test_what_was_foreseen_stays_with_the_job(http: httpx2.Client, ready: Ready, database: Database) -> None:
    """Whatever its attempts say; where they find the same, they say it once, in their own words."""
    few = ready(NUMBERS.model_copy(update={"num_samples": 3}))
    body = {"model_id": ready(READER), "calibration_dataset_id": few}
    made = http.post("/v1/jobs", json=body).json()
    assert made["warnings"] == validate(http, **body)["warnings"]
    assert codes(made["warnings"]) == ["evaluated_on_calibration_data", "few_samples"]
    found = [{"code": code, "detail": "Found."} for code in ("evaluated_on_calibration_data", "not_comparable")]
    change = "UPDATE jobs SET warnings = CAST(:found AS jsonb), version = version + 1 WHERE id = :id"
    database.execute(change, found=json.dumps(found), id=made["id"])
    shown = http.get(f"/v1/jobs/{made['id']}").json()["warnings"]
    assert codes(shown) == ["few_samples", "evaluated_on_calibration_data", "not_comparable"]
    assert shown[1]["detail"] == "Found."
    http.post(f"/v1/jobs/{made['id']}/cancel")


def test_what_a_job_would_take_is_foreseen_with_the_model(http: httpx2.Client, ready: Ready) -> None:
    weighed = READER.model_copy(update={"estimate": Estimate(peak_memory_bytes=5, quantized_bytes=3)})
    nothing = {"seconds": None, "comparable_jobs": 0}
    foreseen = validate(http, model_id=ready(weighed))["estimate"]
    assert foreseen == {"peak_memory_bytes": 5, "quantized_bytes": 3, **nothing}
    foreseen = validate(http, model_id=ready(READER))["estimate"]
    assert foreseen == {"peak_memory_bytes": None, "quantized_bytes": None, **nothing}
    assert validate(http, model_id="mdl_" + "0" * 32)["estimate"] is None
