"""Webhooks over HTTP, on a real database. Nothing is sent here: `test_delivery` does that."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from tests.app.observability.application import converse
from tests.e2e.conversation import is_problem
from tests.servers.postgres import Database

LENIENT = {"webhooks_enabled": True, "webhook_allow_private": True}
HERE = {"url": "https://localhost:12345/hook"}


@pytest.fixture(autouse=True)
def _leave_no_webhook(sessions: sessionmaker[Session]) -> Iterator[None]:
    yield
    with sessions.begin() as session:
        session.execute(text("DELETE FROM webhooks"))


def test_webhooks_are_off_unless_they_are_switched_on(database: Database) -> None:
    async def ask(_: FastAPI, client: httpx2.AsyncClient) -> list[httpx2.Response]:
        return [await client.post("/v1/webhooks", json=HERE), await client.get("/v1/webhooks")]

    for response in converse(database, ask):
        is_problem(response, 403, "webhooks_disabled")


def test_the_secret_is_shown_once(database: Database) -> None:
    async def ask(_: FastAPI, client: httpx2.AsyncClient) -> list[httpx2.Response]:
        made = await client.post("/v1/webhooks", json=HERE, headers={"Idempotency-Key": "once"})
        again = await client.post("/v1/webhooks", json=HERE, headers={"Idempotency-Key": "once"})
        return [made, again, await client.get(made.headers["Location"]), await client.get("/v1/webhooks")]

    made, again, shown, listed = converse(database, ask, **LENIENT)
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    assert again.json() == {**made.json(), "secret": None}
    assert shown.json() == {k: v for k, v in made.json().items() if k != "secret"}
    assert shown.json()["event_types"] == ["job.succeeded", "job.failed", "job.cancelled"]
    assert [webhook["id"] for webhook in listed.json()["data"]] == [made.json()["id"]]
    assert not any(secret in answer.text for answer in (again, shown, listed))


@pytest.mark.parametrize(
    "url", ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://a.invalid/"]
)
def test_a_url_into_our_network_is_refused(database: Database, url: str) -> None:
    async def ask(_: FastAPI, client: httpx2.AsyncClient) -> httpx2.Response:
        return await client.post("/v1/webhooks", json={"url": url})

    found = is_problem(converse(database, ask, webhooks_enabled=True), 422, "url_not_allowed")
    assert found["errors"][0]["pointer"] == "/url"


def test_a_test_is_queued_and_listed_and_goes_with_its_webhook(database: Database) -> None:
    async def ask(_: FastAPI, client: httpx2.AsyncClient) -> list[httpx2.Response]:
        here = (await client.post("/v1/webhooks", json={**HERE, "event_types": ["job.failed"]})).headers["Location"]
        queued = await client.post(f"{here}/test")
        listed = await client.get(f"{here}/deliveries")
        return [queued, listed, await client.delete(here), await client.get(here), await client.post(f"{here}/test")]

    queued, listed, deleted, gone, no_test = converse(database, ask, **LENIENT)
    assert queued.status_code == 202
    assert (queued.json()["event_type"], queued.json()["status"]) == ("webhook.test", "waiting")
    assert listed.json()["data"] == [queued.json()]
    assert deleted.status_code == 204
    is_problem(gone, 404, "not_found")
    is_problem(no_test, 404, "not_found")


def test_a_tenant_has_at_most_twenty(database: Database) -> None:
    async def ask(_: FastAPI, client: httpx2.AsyncClient) -> list[httpx2.Response]:
        return [await client.post("/v1/webhooks", json=HERE) for _ in range(21)]

    *made, refused = converse(database, ask, **LENIENT)
    assert {response.status_code for response in made} == {201}
    assert refused.json()["code"] == "concurrency_limit"
    assert refused.status_code in {409, 429}
