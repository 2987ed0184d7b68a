"""What a client declares of its data, over HTTP. No worker looks at it here."""

import io
from typing import Any

import httpx2
import numpy as np
import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.orm import Session

from app.contracts.preparation import ImagePreparation, TextPreparation
from app.tables import Dataset
from app.tenancy import seen_by
from tests.e2e.conversation import is_problem, upload
from tests.servers.api import Api
from tests.servers.postgres import Database

JSONL = b'{"review": "fine", "stars": 1}\n{"review": "poor", "stars": 0}\n'
TEXT = {"kind": "text", "text": "review", "label": "stars", "classes": ["poor", "fine"]}


@pytest.fixture(scope="module")
def tenant(api: Api) -> tuple[str, str]:
    return api.tenant("declaring")


@pytest.fixture
def http(api: Api, tenant: tuple[str, str]) -> Any:
    with api.client(tenant[1]) as client:
        yield client


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros((3, 2), np.float32))
    return buffer.getvalue()


def create(http: httpx2.Client, content: bytes, **fields: Any) -> httpx2.Response:
    uploaded = upload(http, content, "dataset")
    assert uploaded.status_code == 201, uploaded.text
    return http.post("/v1/datasets", json={"file_id": uploaded.json()["id"], **fields})


def test_a_preparation_is_shown_back_with_its_defaults(http: httpx2.Client) -> None:
    made = create(http, JSONL, preparation=TEXT)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (shown["format"], shown["status"], shown["preview"]) == ("jsonl", "inspecting", None)
    assert shown["preparation"] == TextPreparation.model_validate(TEXT).model_dump(mode="json")
    assert shown["preparation"]["padding"] == "longest"
    assert http.get(made.headers["Location"]).json() == shown
    assert shown in http.get("/v1/datasets").json()["data"]


@pytest.mark.parametrize(("content", "file_format"), [(JSONL, "jsonl"), (npz(), "npz"), (b"a,b\n1,2\n", "csv")])
def test_a_preparation_can_be_left_out(http: httpx2.Client, content: bytes, file_format: str) -> None:
    for fields in ({}, {"preparation": None}):
        shown = create(http, content, **fields).json()
        assert (shown["format"], shown["preparation"]) == (file_format, None)


def test_once_it_is_inspected_the_preparation_that_holds_is_shown(
    http: httpx2.Client, database: Database, tenant: tuple[str, str]
) -> None:
    found = ImagePreparation(height=3, width=5)
    dataset_id = create(http, JSONL, preparation=TEXT).json()["id"]
    engine = create_engine(database.url, poolclass=NullPool)
    with Session(engine, info=seen_by(tenant[0])) as session, session.begin():
        row = session.get_one(Dataset, dataset_id)
        row.inspection = {
            "num_samples": 2,
            "preparation": found.model_dump(mode="json"),
            "preview": [{"review": "fine"}],
        }
    shown = http.get(f"/v1/datasets/{dataset_id}").json()
    assert shown["preparation"] == found.model_dump(mode="json")
    assert (shown["num_samples"], shown["preview"]) == (2, [{"review": "fine"}])
    with Session(engine, info=seen_by(tenant[0])) as session, session.begin():
        session.get_one(Dataset, dataset_id).inspection = {"format": "jsonl", "num_samples": 2, "preparation": None}
    assert http.get(f"/v1/datasets/{dataset_id}").json()["preparation"]["text"] == "review"
    engine.dispose()


@pytest.mark.parametrize(
    ("preparation", "pointer"),
    [
        ({}, "/preparation"),
        ("text", "/preparation"),
        ({"kind": "audio"}, "/preparation"),
        ({"kind": "text", "max_length": 0}, "/preparation/max_length"),
        ({"kind": "text", "text": "a\x00"}, "/preparation/text"),
        ({"kind": "text", "text": "review", "colour": 1}, "/preparation/colour"),
        ({"kind": "text", "classes": ["a", 1]}, "/preparation/classes/1"),
        ({"kind": "image", "height": 8}, "/preparation/width"),
        ({"kind": "image", "height": 8, "width": 8, "std": [1, 0, 1]}, "/preparation/std/1"),
        ({"kind": "image", "height": 8, "width": 8, "mean": [1, 2]}, "/preparation"),
    ],
)
def test_a_preparation_that_is_none_is_pointed_at(http: httpx2.Client, preparation: Any, pointer: str) -> None:
    found = is_problem(create(http, JSONL, preparation=preparation), 422, "validation_error")
    assert [error["pointer"] for error in found["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("content", "preparation", "hint"),
    [
        (JSONL, {"kind": "image", "height": 8, "width": 8}, '"kind": "text"'),
        (npz(), {"kind": "text"}, "Leave it out"),
        (npz(), {"kind": "image", "height": 8, "width": 8}, "Leave it out"),
    ],
)
def test_a_preparation_for_another_format_is_refused(
    http: httpx2.Client, content: bytes, preparation: Any, hint: str
) -> None:
    before = http.get("/v1/datasets").json()
    found = is_problem(create(http, content, preparation=preparation), 422, "preparation_invalid")
    assert found["errors"][0]["pointer"] == "/preparation/kind"
    assert hint in found["hint"]
    assert http.get("/v1/datasets").json() == before


def test_a_text_that_cannot_be_stored_is_refused(http: httpx2.Client) -> None:
    is_problem(create(http, JSONL, preparation={"kind": "text", "classes": ["a\x00"]}), 422, "validation_error")


def test_models_take_no_preparation(http: httpx2.Client) -> None:
    file_id = upload(http, b"\x08\x09" + bytes(20), "model").json()["id"]
    found = is_problem(http.post("/v1/models", json={"file_id": file_id, "preparation": TEXT}), 422, "validation_error")
    assert found["errors"][0]["pointer"] == "/preparation"


def test_the_same_key_with_another_preparation_is_another_request(http: httpx2.Client) -> None:
    file_id = upload(http, JSONL, "dataset").json()["id"]
    key = {"Idempotency-Key": "once"}
    first = http.post("/v1/datasets", json={"file_id": file_id, "preparation": TEXT}, headers=key)
    again = http.post("/v1/datasets", json={"file_id": file_id, "preparation": TEXT}, headers=key)
    assert (first.json(), again.headers["Idempotency-Replayed"]) == (again.json(), "true")
    other = http.post("/v1/datasets", json={"file_id": file_id}, headers=key)
    is_problem(other, 422, "idempotency_key_reused")
