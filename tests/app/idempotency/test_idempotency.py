"""A creating request that is sent twice creates one thing and gets one answer, whatever happens in between."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import NullPool, create_engine, text

from app.idempotency.service import MAX_KEY_CHARACTERS, REPLAYED, WAIT_SECONDS
from tests.app.belongings import give_one_of_everything
from tests.app.quotas.test_quotas import MODEL
from tests.e2e.conversation import is_problem, upload
from tests.servers.api import Api
from tests.servers.postgres import Database

AT_ONCE = 20
TOKEN = {"name": "ci", "scopes": ["jobs:read"]}


def post(client: httpx2.Client, path: str, body: Any, key: str) -> httpx2.Response:
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def test_many_at_once_make_one_thing_and_get_one_answer(api: Api) -> None:
    _, key = api.tenant("parallel")
    with api.client(key) as client:
        file_id = upload(client, MODEL, "model").json()["id"]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            answers = list(
                threads.map(lambda _: post(client, "/v1/models", {"file_id": file_id}, "once"), range(AT_ONCE))
            )
        assert {answer.status_code for answer in answers} == {201}
        assert len({json.dumps(answer.json(), sort_keys=True) for answer in answers}) == 1
        assert len({answer.headers["Location"] for answer in answers}) == 1
        assert sorted(answer.headers.get(REPLAYED, "") for answer in answers) == [""] + ["true"] * (AT_ONCE - 1)
        assert len(client.get("/v1/models").json()["data"]) == 1
        made = [row for row in client.get("/v1/audit").json()["data"] if row["action"] == "create_model"]
        assert len(made) == 1  # a repetition changes nothing, so it leaves no entry


def test_an_answer_that_was_lost_is_given_again(api: Api) -> None:
    _, key = api.tenant("cut off")
    address = urlsplit(api.url)
    body = json.dumps(TOKEN)
    lines = ["POST /v1/tokens HTTP/1.1", f"Host: {address.netloc}", f"Authorization: Bearer {key}"]
    lines += ["Idempotency-Key: k", "Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    with api.client(key) as client:
        with socket.create_connection((address.hostname, address.port)) as cut:
            cut.sendall("\r\n".join(lines).encode())
            deadline = time.monotonic() + 60
            while len(client.get("/v1/tokens").json()["data"]) == 1:  # until it is committed; the answer is not read
                assert time.monotonic() < deadline
        again = post(client, "/v1/tokens", TOKEN, "k")
        assert again.headers[REPLAYED] == "true"
        assert again.json()["id"] == client.get("/v1/tokens").json()["data"][0]["id"]
        assert len(client.get("/v1/tokens").json()["data"]) == 2


def test_another_body_under_the_same_key_is_refused(api: Api) -> None:
    _, key = api.tenant("reused")
    with api.client(key) as client:
        assert post(client, "/v1/tokens", TOKEN, "k").status_code == 201
        is_problem(post(client, "/v1/tokens", {**TOKEN, "name": "other"}, "k"), 422, "idempotency_key_reused")
        # the same body, spelt otherwise, is the same request
        spelt = json.dumps(dict(reversed(TOKEN.items())), indent=3)
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        assert client.post("/v1/tokens", content=spelt, headers=headers).headers[REPLAYED] == "true"
        first = client.get("/v1/tokens").json()["data"][0]["id"]
        assert post(client, f"/v1/tokens/{first}/rotate", {}, "k").status_code == 201  # another operation, another key


def test_the_same_key_for_another_address_is_refused(api: Api) -> None:
    _, key = api.tenant("addresses")
    with api.client(key) as client:
        one, two = (client.post("/v1/tokens", json=TOKEN).json()["id"] for _ in range(2))
        assert post(client, f"/v1/tokens/{one}/rotate", {}, "k").status_code == 201
        is_problem(post(client, f"/v1/tokens/{two}/rotate", {}, "k"), 422, "idempotency_key_reused")


def test_a_replayed_key_is_not_shown_and_not_stored(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("secrets")
    with api.client(key) as client:
        first, second = (post(client, "/v1/tokens", TOKEN, "k").json() for _ in range(2))
        assert first["key"].startswith(f"lb_{first['id']}_")
        assert first["notice"] is None
        assert second["key"] is None
        assert "shown" in second["notice"]
        assert second["id"] == first["id"]
    rows = database.execute("SELECT CAST(k AS text) FROM idempotency_keys k WHERE tenant_id = :id", id=tenant_id)
    assert len(rows) == 1
    assert first["key"].split("_")[2] not in rows[0][0]


def test_a_repeated_upload_names_no_presigned_addresses(api: Api) -> None:
    _, key = api.tenant("upload twice")
    wanted = {"filename": "m.onnx", "purpose": "model", "bytes": 600}
    with api.client(key) as client:
        first, second = (post(client, "/v1/uploads", wanted, "k") for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["parts"] != []
        assert second.json() == {**first.json(), "parts": []}


def test_every_operation_that_creates_something_takes_a_key(api: Api) -> None:
    without = set()
    for methods in api.app.openapi()["paths"].values():
        operation = methods.get("post")
        if operation and {"201", "202"} & set(operation["responses"]):
            names = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
            if "idempotency-key" not in names:
                without.add(operation["operationId"])
    # a streamed body cannot be compared; the rest name what they act on, and acting twice changes nothing more
    assert without == {"create_file", "complete_upload", "cancel_job", "requeue_job"}


def test_work_that_was_refused_may_be_tried_again(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("refused")
    owned = give_one_of_everything(database, tenant_id)
    with api.client(key) as client:
        is_problem(post(client, "/v1/models", {"file_id": "file_0"}, "k"), 404, "not_found")
        assert post(client, "/v1/models", {"file_id": owned["file_id"]}, "k").status_code == 201


@pytest.mark.parametrize("header", [b"x" * (MAX_KEY_CHARACTERS + 1), "ключ".encode(), b""])
def test_an_odd_key_is_refused(api: Api, header: bytes) -> None:
    with api.client() as admin:
        answer = admin.post("/v1/tokens", json=TOKEN, headers=[(b"Idempotency-Key", header)])
        is_problem(answer, 400, "idempotency_key_invalid")


def test_the_longest_key_is_accepted(api: Api) -> None:
    _, key = api.tenant("longest")
    with api.client(key) as client:
        assert post(client, "/v1/tokens", TOKEN, "~" * MAX_KEY_CHARACTERS).status_code == 201


def test_a_key_is_free_again_after_a_day(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("yesterday")
    with api.client(key) as client:
        first = post(client, "/v1/tokens", TOKEN, "k").json()["id"]
        aged = "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE tenant_id = :id"
        database.execute(aged, id=tenant_id)
        second = post(client, "/v1/tokens", TOKEN, "k")
        assert second.json()["id"] != first
        assert post(client, "/v1/tokens", TOKEN, "k").json()["id"] == second.json()["id"]


@pytest.mark.pace
def test_waiting_for_the_first_request_has_an_end(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("in progress")
    engine = create_engine(database.url, poolclass=NullPool)
    taken, release = threading.Event(), threading.Event()

    def first_request() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT set_config('app.tenant_id', :t, true)"), {"t": tenant_id})
            statement = (
                "INSERT INTO idempotency_keys (tenant_id, operation, key, request_sha256, status_code, headers, body) "
                "VALUES (:t, 'POST /v1/tokens', 'k', '', 0, '{}', '{}')"
            )
            connection.execute(text(statement), {"t": tenant_id})
            taken.set()
            release.wait(WAIT_SECONDS * 4)

    holder = threading.Thread(target=first_request)
    holder.start()
    assert taken.wait(10)
    try:
        with api.client(key) as client:
            started = time.monotonic()
            answer = post(client, "/v1/tokens", TOKEN, "k")
            is_problem(answer, 409, "idempotency_in_progress")
            assert int(answer.headers["Retry-After"]) > 0
            assert WAIT_SECONDS <= time.monotonic() - started < WAIT_SECONDS + 3
            release.set()
            holder.join()
            assert post(client, "/v1/tokens", TOKEN, "k").status_code == 201  # the first one was rolled back
    finally:
        release.set()
        holder.join()
