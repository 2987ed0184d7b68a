"""Keys over HTTP: shown once, never stronger than the one that made them, replaced without a gap."""

import pytest

from tests.e2e.conversation import is_problem
from tests.servers.api import Api


def test_a_key_is_shown_once_and_works(api: Api) -> None:
    _, key = api.tenant("makers")
    with api.client(key) as owner:
        made = owner.post("/v1/tokens", json={"name": "ci", "scopes": ["jobs:read"], "expires_in_seconds": 3600})
        assert made.status_code == 201
        shown = made.json()
        assert made.headers["Location"] == f"/v1/tokens/{shown['id']}"
        assert shown["created_by"] == key.split("_")[1]
        with api.client(shown["key"]) as ci:
            assert ci.get("/v1/jobs").status_code == 200
        fetched = owner.get(made.headers["Location"])
        assert fetched.json()["scopes"] == ["jobs:read"]
        secret = shown["key"].split("_")[2][:43]
        for text in (fetched.text, owner.get("/v1/tokens").text, owner.get("/v1/audit").text):
            assert secret not in text


def test_a_revoked_key_is_gone_from_the_list(api: Api) -> None:
    _, key = api.tenant("revokers")
    with api.client(key) as owner:
        made = owner.post("/v1/tokens", json={"name": "old", "scopes": ["*"]}).json()
        assert made["id"] in [row["id"] for row in owner.get("/v1/tokens").json()["data"]]
        assert owner.delete(f"/v1/tokens/{made['id']}").status_code == 204
        assert made["id"] not in [row["id"] for row in owner.get("/v1/tokens").json()["data"]]
        is_problem(owner.delete(f"/v1/tokens/{made['id']}"), 404, "not_found")


@pytest.mark.parametrize("wanted", ["*", "jobs:write", "tenants:admin"])
def test_a_key_cannot_grant_what_it_lacks(api: Api, wanted: str) -> None:
    tenant_id, strong = api.tenant(f"climbers {wanted}")
    weak = api.key_of(tenant_id, scopes=("keys:admin", "jobs:read"))
    with api.client(weak) as climber:
        found = is_problem(climber.post("/v1/tokens", json={"name": "x", "scopes": [wanted]}), 403, "forbidden")
        assert f"`{wanted}`" in found["detail"]
        assert climber.post("/v1/tokens", json={"name": "x", "scopes": ["jobs:read"]}).status_code == 201
        stronger = f"/v1/tokens/{strong.split('_')[1]}/rotate"
        is_problem(climber.post(stronger), 403, "forbidden")  # its answer would be a key that can do everything


def test_no_tenant_but_the_default_one_has_operators(api: Api) -> None:
    tenant_id, key = api.tenant("no operators")
    wanted = {"name": "x", "scopes": ["tenants:admin"]}
    with api.client(key) as owner, api.client() as admin:
        is_problem(owner.post("/v1/tokens", json=wanted), 403, "forbidden")
        is_problem(admin.post(f"/v1/admin/tenants/{tenant_id}/keys", json=wanted), 403, "forbidden")


def test_both_keys_work_during_a_rotation(api: Api) -> None:
    _, key = api.tenant("rotators")
    with api.client(key) as owner:
        old = owner.post("/v1/tokens", json={"name": "ci", "scopes": ["jobs:read"]}).json()
        made = owner.post(f"/v1/tokens/{old['id']}/rotate", json={"grace_seconds": 60})
        assert made.status_code == 201, made.text
        new = made.json()
        assert (new["name"], new["scopes"]) == (old["name"], old["scopes"])
        for text in (old["key"], new["key"]):
            with api.client(text) as ci:
                assert ci.get("/v1/jobs").status_code == 200
        assert owner.get(f"/v1/tokens/{old['id']}").json()["expires_at"] is not None
        assert owner.get(f"/v1/tokens/{new['id']}").json()["expires_at"] is None
        at_once = owner.post(f"/v1/tokens/{new['id']}/rotate", json={"grace_seconds": 0})
        with api.client(at_once.json()["key"]) as ci:
            assert ci.get("/v1/jobs").status_code == 200
        is_problem(owner.get(f"/v1/tokens/{new['id']}"), 404, "not_found")


def test_a_rotation_does_not_lengthen_a_life(api: Api) -> None:
    _, key = api.tenant("short lives")
    with api.client(key) as owner:
        old = owner.post("/v1/tokens", json={"name": "x", "scopes": ["jobs:read"], "expires_in_seconds": 5}).json()
        new = owner.post(f"/v1/tokens/{old['id']}/rotate", json={"grace_seconds": 86400}).json()
        assert new["expires_at"] is not None
        after = owner.get(f"/v1/tokens/{old['id']}")
        assert after.json()["expires_at"] == old["expires_at"]  # the sooner of 5 s and a day


def test_the_key_that_the_service_starts_with_is_not_changed_here(api: Api) -> None:
    with api.client() as admin:
        own = admin.get("/v1/me").json()["key"]["id"]
        is_problem(admin.delete(f"/v1/tokens/{own}"), 409, "resource_in_use")
        is_problem(admin.post(f"/v1/tokens/{own}/rotate"), 409, "resource_in_use")


def test_another_tenants_key_does_not_exist(api: Api) -> None:
    _, mine = api.tenant("mine")
    _, theirs = api.tenant("theirs")
    with api.client(mine) as client:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            is_problem(client.request(method, f"/v1/tokens/{theirs.split('_')[1]}{path}"), 404, "not_found")


@pytest.mark.parametrize("body", [{"name": "x"}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]}])
def test_a_key_needs_scopes_that_exist(api: Api, body: dict[str, object]) -> None:
    with api.client() as admin:
        is_problem(admin.post("/v1/tokens", json=body), 422, "validation_error")
