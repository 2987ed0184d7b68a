"""Every change has its entry, in the same transaction; a flood of wrong keys has a few."""

import asyncio
import json
from pathlib import Path

from app.audit.bookkeeping import MAX_ADDRESSES, MAX_KINDS, Books
from app.auth.keys import generate
from app.database import make_engine, make_sessions
from app.tables import DEFAULT_TENANT_ID
from tests.app.quotas.test_quotas import MODEL
from tests.e2e.conversation import is_problem, upload
from tests.servers.api import Api, running_api
from tests.servers.postgres import Database


def test_who_changed_what_is_there_and_who_only_looked_is_not(api: Api) -> None:
    _, key = api.tenant("audited")
    with api.client(key) as client:
        file = upload(client, MODEL, "model")
        made = client.post("/v1/models", json={"file_id": file.json()["id"]})
        client.get("/v1/models")
        is_problem(client.post("/v1/models", json={"file_id": "file_0"}), 404, "not_found")
        upload_id = client.post("/v1/uploads", json={"filename": "m", "purpose": "model", "bytes": 9}).json()["id"]
        client.delete(f"/v1/uploads/{upload_id}")
        entries = client.get("/v1/audit").json()["data"]
        assert [(entry["action"], entry["subject"]) for entry in entries] == [
            ("abort_upload", upload_id),
            ("create_upload", upload_id),
            ("create_model", made.json()["id"]),
            ("create_file", file.json()["id"]),
        ]
        assert entries[2]["key_id"] == key.split("_")[1]
        assert entries[2]["request_id"] == made.headers["X-Request-Id"]


def test_the_log_comes_in_pages(api: Api) -> None:
    _, key = api.tenant("pages")
    with api.client(key) as client:
        for number in range(3):
            client.post("/v1/tokens", json={"name": f"{number}", "scopes": ["jobs:read"]})
        first = client.get("/v1/audit", params={"limit": 2}).json()
        second = client.get("/v1/audit", params={"limit": 2, "after": first["last_id"]}).json()
        assert (first["has_more"], second["has_more"]) == (True, False)
        assert [row["detail"]["name"] for row in first["data"] + second["data"]] == ["2", "1", "0"]
        is_problem(client.get("/v1/audit", params={"after": "aud_x"}), 400, "invalid_cursor")


def test_an_operators_act_names_what_it_changed(api: Api) -> None:
    tenant_id, _ = api.tenant("acted on")
    with api.client() as admin:
        admin.patch(f"/v1/admin/tenants/{tenant_id}", json={"max_queued_jobs": 7})
        newest = admin.get("/v1/admin/audit", params={"limit": 1, "tenant_id": DEFAULT_TENANT_ID}).json()["data"][0]
        assert (newest["action"], newest["subject"]) == ("change_tenant", tenant_id)
        assert newest["detail"] == {"max_queued_jobs": 7}
        assert admin.post("/v1/admin/garbage").status_code == 200
        assert admin.get("/v1/admin/audit", params={"limit": 1}).json()["data"][0]["action"] == "collect_garbage"


def test_a_flood_of_rejections_becomes_a_few_entries(api: Api, database: Database) -> None:
    tenant_id, _ = api.tenant("flooded")
    books = Books()
    for number in range(10_000):
        books.rejected("invalid_credentials", f"10.0.0.{number % 200}", tenant_id=tenant_id, key_id="guessed")
    for number in range(2 * MAX_KINDS):
        books.rejected("forbidden", "10.0.0.1", tenant_id=tenant_id, key_id=f"key {number}")

    async def write() -> None:
        engine = make_engine(database.url)
        await books.write(make_sessions(engine))
        await engine.dispose()

    asyncio.run(write())
    rows = database.execute(
        "SELECT key_id, CAST(detail AS text) FROM audit_log WHERE tenant_id = :id AND action = 'rejected'", id=tenant_id
    )
    assert len(rows) == MAX_KINDS
    flood = next(json.loads(detail) for key_id, detail in rows if key_id == "guessed")
    assert flood["count"] == 10_000
    assert len(flood["addresses"]) == MAX_ADDRESSES


def test_rejections_are_written_for_the_keys_owner_when_the_service_stops(
    database: Database, broker: str, tmp_path: Path
) -> None:
    with running_api(database, broker, tmp_path) as running:
        tenant_id, key = running.tenant("watched")
        key_id = key.split("_")[1]
        with running.client(generate()._replace(id=key_id).text()) as guesser, running.client(key) as client:
            for _ in range(3):
                is_problem(guesser.get("/v1/me"), 401, "invalid_credentials")
            is_problem(client.get("/v1/admin/tenants"), 403, "forbidden")
    rows = database.execute("SELECT key_id, detail FROM audit_log WHERE tenant_id = :id", id=tenant_id)
    counts = {detail["code"]: (row_key, detail["count"]) for row_key, detail in rows if "code" in detail}
    assert counts == {"invalid_credentials": (key_id, 3), "forbidden": (key_id, 1)}
    used = database.execute("SELECT last_used_at IS NOT NULL FROM api_keys WHERE id = :id", id=key_id)
    assert used[0][0]
