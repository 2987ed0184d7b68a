"""What is known to fail is refused, and what is worth knowing said, from rows alone. No worker is there."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.orm import Session

from app.contracts.inspection import DatasetInspection, ModelInspection, TokenizerInspection
from app.contracts.preparation import TextPreparation
from app.ids import new_id
from app.tables import Dataset, File, Model
from app.tenancy import seen_by
from tests.app.contracts.inspections import data, model
from tests.e2e.conversation import is_problem
from tests.servers.api import Api
from tests.servers.postgres import Database

READER = model(
    ("input_ids", "int64", ("n", "t")),
    outputs=[("logits", "float32", ("n", 2))],
    tokenizer=TokenizerInspection(vocabulary=9, max_length=16, pads=True),
)
REVIEWS = data(("text", "string", (99,)), format="jsonl", preparation=TextPreparation())
NUMBERS = data(("input_ids", "int64", (99, 8)), ("labels", "int64", (99,), (0, 1)), has_labels=True)

Ready = Callable[..., str]


@pytest.fixture(scope="module")
def tenant(api: Api) -> tuple[str, str]:
    return api.tenant("submitting")


@pytest.fixture
def http(api: Api, tenant: tuple[str, str]) -> Any:
    with api.client(tenant[1]) as client:
        yield client


@pytest.fixture
def ready(database: Database, tenant: tuple[str, str]) -> Any:
    """Makes a model or a data set that a worker has inspected."""
    engine = create_engine(database.url, poolclass=NullPool)

    def make(inspection: ModelInspection | DatasetInspection, *, sha256: str | None = None) -> str:
        table, purpose, prefix = (
            (Model, "model", "mdl") if isinstance(inspection, ModelInspection) else (Dataset, "dataset", "ds")
        )
        tenant_id = tenant[0]
        with Session(engine, info=seen_by(tenant_id)) as session, session.begin():
            file = File(
                id=new_id("file"), tenant_id=tenant_id, filename="f", purpose=purpose, format=inspection.format,
                bytes=1, sha256=sha256 or new_id("file"),
            )  # fmt: skip
            session.add(file)
            session.flush()
            row = table(
                id=new_id(prefix), tenant_id=tenant_id, name="r", file_id=file.id, format=inspection.format,
                status="ready", inspection=inspection.model_dump(mode="json"),
            )  # fmt: skip
            session.add(row)
            return row.id

    yield make
    engine.dispose()


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
