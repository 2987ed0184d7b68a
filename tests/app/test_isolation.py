"""A tenant cannot see another: not its rows, not whether an id of it exists, not through cursors or keys of its own."""

import re
from typing import Any

import httpx2
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import ProgrammingError

from app.ids import new_id
from app.tables import Base
from tests.app.belongings import give_one_of_everything
from tests.servers.api import Api
from tests.servers.postgres import Database

OWNED = sorted(
    table.name for table in Base.metadata.sorted_tables if "tenant_id" in table.columns or table.name == "tenants"
)
PREFIXES = {"file_id": "file", "model_id": "mdl", "dataset_id": "ds", "job_id": "job", "variant_id": "var"} | {
    "artifact_id": "art",
    "upload_id": "upl",
    "webhook_id": "whk",
    "token_id": None,
}
_NUMBERS = {"number": "1"}

BODIES: dict[str, Any] = {
    "create_part_urls": {"numbers": [1]},
    "complete_upload": {"parts": [{"number": 1, "etag": "x"}], "sha256": "0" * 64},
}
"""What an operation needs before it looks at the id."""


class Pair:
    """Two tenants: one asks for what the other has."""

    def __init__(self, api: Api, database: Database) -> None:
        self.asker_id, self.asker = api.tenant("asker")
        self.owner_id, self.owner = api.tenant("owner")
        give_one_of_everything(database, self.asker_id)
        self.owned = give_one_of_everything(database, self.owner_id)
        self.owned["token_id"] = self.owner.split("_")[1]


@pytest.fixture(scope="module")
def pair(api: Api, database: Database) -> Pair:
    return Pair(api, database)


def masked(response: httpx2.Response, *ids: str) -> tuple[int, bytes]:
    """Status and body without the request's id and the id that was asked for."""
    body = response.content.replace(response.headers["x-request-id"].encode(), b"-")
    for one in ids:
        body = body.replace(one.encode(), b"id")
    return response.status_code, body


def absent(name: str) -> str:
    """An id of the same form that nobody has."""
    prefix = PREFIXES[name]
    return new_id(prefix) if prefix else "0" * 12


def operations(api: Api) -> list[tuple[str, str, str, str]]:
    """Method, path, name and kind of id of every operation on one resource, but for the operator's."""
    found = []
    for path, methods in api.app.openapi()["paths"].items():
        if not path.startswith("/v1/") or path.startswith("/v1/admin/"):
            continue
        for name in re.findall(r"{(\w+)}", path):
            kinds = [name] if name in PREFIXES else []
            if name == "resource_id":
                kinds = ["model_id" if path.startswith("/v1/models") else "dataset_id"]
            elif name not in PREFIXES and name not in _NUMBERS and name != "name":  # a recipe's name is nobody's
                raise AssertionError(f"{path}: say what {name} is")
            found += [(m.upper(), path, operation["operationId"], k) for m, operation in methods.items() for k in kinds]
    return found


def test_another_tenants_id_is_answered_as_one_that_does_not_exist(api: Api, pair: Pair) -> None:
    walked = operations(api)
    assert len(walked) > 20
    with api.client(pair.asker) as client:
        for method, path, operation, kind in walked:
            answers = []
            for one in (pair.owned[kind], absent(kind)):
                address = re.sub(r"{number}", "1", path)
                address = re.sub(r"{\w+}", one, address)
                body = BODIES.get(operation)
                more: dict[str, Any] = {"json": body} if body else {"content": b"x"} if method == "PUT" else {}
                answers.append(masked(client.request(method, address, **more), one))
            assert answers[0] == answers[1], (method, path)
            assert answers[0][0] == 404, (method, path, answers[0])


@pytest.mark.parametrize("field", ["model_id", "calibration_dataset_id", "evaluation_dataset_id"])
def test_a_job_cannot_name_another_tenants_things(api: Api, pair: Pair, database: Database, field: str) -> None:
    mine = give_one_of_everything(database, pair.asker_id)
    body = {"model_id": mine["model_id"], "calibration_dataset_id": mine["dataset_id"]}
    kind = "model_id" if field == "model_id" else "dataset_id"
    with api.client(pair.asker) as client:
        theirs, nobodys = (
            masked(client.post(path, json={**body, field: one}), one)
            for path in ("/v1/jobs",)
            for one in (pair.owned[kind], absent(kind))
        )
    assert theirs == nobodys
    assert theirs[0] == 404


@pytest.mark.parametrize("path", ["/v1/models", "/v1/datasets"])
def test_a_resource_cannot_be_made_of_another_tenants_file(api: Api, pair: Pair, path: str) -> None:
    with api.client(pair.asker) as client:
        theirs, nobodys = (
            masked(client.post(path, json={"file_id": one}), one) for one in (pair.owned["file_id"], absent("file_id"))
        )
    assert theirs == nobodys
    assert theirs[0] == 404


@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/jobs", "job_id"), ("/v1/models", "model_id"), ("/v1/uploads", "upload_id")]
)
def test_another_tenants_cursor_leads_to_ones_own_rows(api: Api, pair: Pair, path: str, kind: str) -> None:
    with api.client(pair.asker) as client, api.client(pair.owner) as owner:
        theirs = {row["id"] for row in owner.get(path).json()["data"]}
        page = client.get(path, params={"after": pair.owned[kind], "limit": 200}).json()["data"]
        assert pair.owned[kind] in theirs
        assert {row["id"] for row in page} & theirs == set()
        assert {row["id"] for row in page} <= {row["id"] for row in client.get(path).json()["data"]}


def test_idempotency_keys_and_audit_entries_do_not_cross(api: Api, pair: Pair) -> None:
    wanted = {"name": "same", "scopes": ["jobs:read"]}
    with api.client(pair.asker) as client, api.client(pair.owner) as owner:
        first, second = (c.post("/v1/tokens", json=wanted, headers={"Idempotency-Key": "k"}) for c in (client, owner))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["id"] != second.json()["id"]
        assert "Idempotency-Replayed" not in second.headers
        entries = client.get("/v1/audit", params={"limit": 200}).json()["data"]
        assert {entry["tenant_id"] for entry in entries} == {pair.asker_id}


def test_every_table_of_tenants_hides_its_rows_from_who_names_none(database: Database, pair: Pair) -> None:
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.connect() as connection:
        for table in OWNED:
            seen = connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one()
            assert seen == 0, table
            assert database.execute(f'SELECT count(*) FROM "{table}"')[0][0] > 1, f"nothing in {table} to be hidden"
            forced = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = CAST(:t AS regclass)"
            assert connection.execute(text(forced), {"t": table}).scalar_one(), table


def test_a_session_sees_and_writes_its_own_tenants_rows_only(database: Database, pair: Pair) -> None:
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT set_config('app.tenant_id', :tenant, false)"), {"tenant": pair.asker_id})
        for table in OWNED:
            column = "id" if table == "tenants" else "tenant_id"
            owners = connection.execute(text(f'SELECT DISTINCT {column} FROM "{table}"')).scalars().all()
            assert owners == [pair.asker_id], table
        with pytest.raises(ProgrammingError, match="row-level security"):
            connection.execute(
                text("INSERT INTO audit_log (tenant_id, action, detail) VALUES (:other, 'x', '{}')"),
                {"other": pair.owner_id},
            )


def test_the_audit_log_cannot_be_changed(database: Database, pair: Pair) -> None:
    for statement in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            database.execute(statement)
