"""`lowbit admin` against the real API: what an operator types, and what comes of it."""

import json
from typing import Any

import pytest
from lowbit.command.main import build

from app.auth.keys import parse
from tests.app.belongings import give_one_of_everything
from tests.servers.api import Api
from tests.servers.postgres import Database


class Operator:
    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("LOWBIT_URL", api.url)
        monkeypatch.setenv("LOWBIT_TOKEN", api.key)
        self._capsys = capsys

    def types(self, *words: str) -> tuple[int, str]:
        """The exit code and stdout of a command."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            build()(["admin", *words])
        code = ending.value.code
        return code if isinstance(code, int) else 0, self._capsys.readouterr().out

    def gets(self, *words: str) -> Any:
        """The object that a command prints."""
        code, out = self.types(*words, "--format", "json")
        assert code == 0, out
        return json.loads(out)


@pytest.fixture
def operator(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(api, monkeypatch, capsys)


def test_a_tenant_from_its_beginning_to_its_end(api: Api, operator: Operator) -> None:
    limits = ("--max-stored-bytes", "5000", "--max-queued-jobs", "2", "--weight", "0.5")
    tenant = operator.gets("tenants", "create", "typed", *limits)
    assert (tenant["max_stored_bytes"], tenant["max_queued_jobs"], tenant["weight"]) == (5000, 2, 0.5)
    _, text = operator.types(
        "keys", "create", tenant["id"], "--name", "ci", "--scope", "jobs:read", "--format", "quiet"
    )
    key = parse(text.strip())
    assert key is not None
    with api.client(text.strip()) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert client.get("/v1/models").status_code == 403
    assert [row["id"] for row in operator.gets("keys", "list", tenant["id"])["data"]] == [key.id]
    changed = operator.gets("tenants", "change", tenant["id"], "--max-queued-jobs", "default", "--disable")
    assert changed["max_queued_jobs"] is None
    assert changed["disabled_at"] is not None
    assert operator.gets("tenants", "change", tenant["id"], "--enable")["disabled_at"] is None
    assert operator.types("keys", "revoke", tenant["id"], key.id)[0] == 0
    assert operator.gets("keys", "list", tenant["id"])["data"] == []
    assert f"{tenant['id']}  typed" in operator.types("tenants", "list")[1]


def test_what_a_tenant_uses_is_shown_beside_what_it_may(api: Api, operator: Operator, database: Database) -> None:
    tenant_id, _ = api.tenant("shown", max_stored_bytes=2000)
    give_one_of_everything(database, tenant_id)
    shown = [line.split(maxsplit=1) for line in operator.types("tenants", "show", tenant_id)[1].splitlines()]
    assert ["queued_jobs", "1 of 1000"] in shown
    assert ["running_jobs", "0 of any number"] in shown


def test_what_is_refused_ends_with_the_code_of_its_kind(api: Api, operator: Operator, database: Database) -> None:
    tenant_id, _ = api.tenant("no operator")
    job_id = give_one_of_everything(database, tenant_id)["job_id"]
    assert operator.types("jobs", "requeue", job_id)[0] == 1  # it was not given up
    assert operator.types("jobs", "requeue", "job_0")[0] == 5
    assert operator.types("tenants", "show", "tnt_0")[0] == 5
    assert operator.types("tenants", "create", "x", "--max-queued-jobs", "many")[0] == 2
    entry = operator.gets("audit", "--tenant", tenant_id, "--limit", "1")["data"][0]
    assert entry["tenant_id"] == tenant_id


def test_a_key_of_another_tenant_is_no_operators(api: Api, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = api.tenant("pretender")
    monkeypatch.setenv("LOWBIT_TOKEN", key)
    assert operator.types("tenants", "list")[0] == 4


def test_garbage_is_looked_at_without_being_removed(operator: Operator) -> None:
    assert operator.gets("gc", "--dry-run")["removed"] is False
