"""Who is turned away learns nothing of why, and who keeps trying is slowed down."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.audit.bookkeeping import Books
from app.auth.failures import ADDRESS_FACTOR, FailureLimit
from app.auth.keys import generate, parse
from app.auth.verification import FRESH_SECONDS
from app.database import make_engine, make_sessions
from tests.e2e.conversation import is_problem
from tests.servers.api import Api, running_api
from tests.servers.postgres import Database


def masked(response: httpx2.Response) -> bytes:
    """The body without what differs between any two answers."""
    return response.content.replace(response.headers["x-request-id"].encode(), b"-")


def expired(database: Database, key: str) -> str:
    found = parse(key)
    assert found is not None
    database.execute("UPDATE api_keys SET expires_at = clock_timestamp() - interval '1 s' WHERE id = :id", id=found.id)
    return key


def test_no_wrong_key_gets_another_answer_than_the_rest(api: Api, database: Database) -> None:
    tenant_id, revoked = api.tenant("turned away")
    expired_key = expired(database, api.key_of(tenant_id))
    disabled_id, disabled = api.tenant("switched off")
    good = parse(api.key_of(tenant_id))
    assert good is not None
    with api.client() as admin:
        revoked_id = revoked.split("_")[1]
        assert admin.delete(f"/v1/admin/tenants/{tenant_id}/keys/{revoked_id}").status_code == 204
        assert admin.patch(f"/v1/admin/tenants/{disabled_id}", json={"disabled": True}).json()["disabled_at"]
    wrong_secret = generate()._replace(id=good.id).text()
    bodies = set()
    for key in (generate().text(), "no key at all", good.text()[:-1], wrong_secret, revoked, expired_key, disabled):
        with api.client(key) as stranger:
            answer = stranger.get("/v1/jobs")
            is_problem(answer, 401, "invalid_credentials")
            bodies.add(masked(answer))
    assert len(bodies) == 1


@pytest.mark.pace
def test_a_key_in_use_is_refused_soon_after_it_was_revoked(api: Api) -> None:
    tenant_id, key = api.tenant("leaver")
    with api.client() as admin, api.client(key) as leaver:
        assert leaver.get("/v1/me").status_code == 200
        admin.delete(f"/v1/admin/tenants/{tenant_id}/keys/{key.split('_')[1]}")
        deadline = time.monotonic() + FRESH_SECONDS + 1.0
        while leaver.get("/v1/me").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        is_problem(leaver.get("/v1/me"), 401, "invalid_credentials")


def test_a_busy_key_is_looked_up_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = api.tenant("busy")
    lookups: list[Any] = []
    monkeypatch.setattr("app.auth.verification.parse", lambda given: lookups.append(given) or parse(given))
    with api.client(key) as busy:
        started = time.monotonic()
        for _ in range(10):
            assert busy.get("/v1/recipes").status_code == 200
    # at most one look-up for each span of freshness that the requests took, and one for the last, begun span
    assert len(lookups) <= 1 + (time.monotonic() - started) / FRESH_SECONDS


def test_the_last_use_is_written_in_the_background(api: Api, database: Database) -> None:
    tenant_id, key = api.tenant("seen")
    key_id = key.split("_")[1]

    async def write() -> None:
        engine = make_engine(database.url)
        books = Books()
        books.used(key_id)
        await books.write(make_sessions(engine))
        await books.write(make_sessions(engine))  # nothing is left to be written
        await engine.dispose()

    with api.client() as admin:
        path = f"/v1/admin/tenants/{tenant_id}/keys"
        assert admin.get(path).json()["data"][0]["last_used_at"] is None
        asyncio.run(write())
        assert admin.get(path).json()["data"][0]["last_used_at"] is not None


def test_failures_are_counted_by_address_and_key() -> None:
    limit = FailureLimit(3)
    for _ in range(3):
        assert not limit.reached("10.0.0.1", "a")
        limit.count("10.0.0.1", "a")
    assert limit.reached("10.0.0.1", "a")
    assert not limit.reached("10.0.0.2", "a")  # the key's owner, elsewhere
    assert not limit.reached("10.0.0.1", "b")
    for number in range(3 * ADDRESS_FACTOR - 3):
        limit.count("10.0.0.1", f"other {number}")
    assert limit.reached("10.0.0.1", "b")
    assert not FailureLimit(0).reached("10.0.0.1", "a")


def test_guessing_is_slowed_down_and_does_not_lock_out_who_is_in(
    database: Database, broker: str, tmp_path: Path
) -> None:
    with running_api(database, broker, tmp_path, auth_failures_per_minute=2) as guarded:
        guess = generate()
        with guarded.client() as owner, guarded.client(guess.text()) as guesser:
            assert owner.get("/v1/me").status_code == 200
            for _ in range(2):
                is_problem(guesser.get("/v1/me"), 401, "invalid_credentials")
            answer = guesser.get("/v1/me")
            is_problem(answer, 429, "rate_limited")
            assert int(answer.headers["Retry-After"]) > 0
            for _ in range(2 * ADDRESS_FACTOR):
                with guarded.client(generate().text()) as other:
                    other.get("/v1/me")
            with guarded.client(generate().text()) as other:
                is_problem(other.get("/v1/me"), 429, "rate_limited")
            assert owner.get("/v1/me").status_code == 200
