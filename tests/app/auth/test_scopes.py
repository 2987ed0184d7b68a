"""Default deny: an address that the table does not name is nobody's, so no route can be forgotten there."""

from typing import Any

import pytest

from app.auth.scopes import OPERATOR_SCOPES, SCOPES, holds, is_write, required, rule_for
from app.middleware.gate import PUBLIC_PATHS, PUBLIC_PREFIXES
from tests.e2e.conversation import is_problem
from tests.servers.api import Api


def every_path(routes: Any) -> set[str]:
    """The path of each route, those of included routers and hidden ones too."""
    found = set()
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(route, "path"):
            found.add(route.path)
        if getattr(inner, "routes", None):
            found |= every_path(inner.routes)
    return found


def test_every_route_is_public_or_asks_for_a_scope(api: Api) -> None:
    paths = every_path(api.app.routes)
    assert len(paths) > 30
    for path in paths:
        public = path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)
        assert public != (rule_for(path) is not None), path


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/jobs", "jobs:read"),
        ("HEAD", "/v1/files/file_1/content", "models:read"),
        ("POST", "/v1/jobs/job_1/cancel", "jobs:write"),
        ("POST", "/v1/jobs/validate", "jobs:read"),
        ("GET", "/v1/variants/var_1/bundle", "artifacts:read"),
        ("GET", "/v1/variants/var_1/layers", "jobs:read"),
        ("PATCH", "/v1/admin/tenants/tnt_1", "tenants:admin"),
        ("GET", "/v1/me", None),
    ],
)
def test_the_longest_rule_decides(method: str, path: str, scope: str | None) -> None:
    rule = rule_for(path)
    assert rule is not None
    assert required(rule, method) == scope


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/jobsx", "/v1/job", "/v2/jobs", "v1/jobs", "", "//v1/jobs"])
def test_what_only_looks_like_an_address_is_none(path: str) -> None:
    assert rule_for(path) is None


def test_a_question_asked_with_post_is_no_write() -> None:
    assert not is_write("POST", "/v1/jobs/validate")
    assert is_write("POST", "/v1/jobs")
    assert is_write("DELETE", "/v1/models/mdl_1")
    assert not is_write("GET", "/v1/jobs")


def test_everything_is_not_everybodys() -> None:
    for scope in SCOPES:
        assert holds(["*"], scope, operator=True)
        assert holds(["*"], scope, operator=False) == (scope not in OPERATOR_SCOPES)
        assert not holds([], scope, operator=True)
    assert not holds(["tenants:admin"], "tenants:admin", operator=False)


def test_the_description_names_the_scopes(api: Api) -> None:
    paths = api.app.openapi()["paths"]
    assert paths["/v1/jobs"]["post"]["security"] == [{"key": ["jobs:write"]}]
    assert paths["/v1/me"]["get"]["security"] == [{"key": []}]
    assert "security" not in paths["/healthz"]["get"]


def test_a_missing_scope_is_named(api: Api) -> None:
    tenant_id, _ = api.tenant("scopes")
    with api.client(api.key_of(tenant_id, scopes=("jobs:read",))) as reader:
        assert reader.get("/v1/jobs").status_code == 200
        assert reader.get("/v1/me").json()["key"]["scopes"] == ["jobs:read"]
        for method, path, scope in [
            ("POST", "/v1/jobs", "jobs:write"),
            ("GET", "/v1/models", "models:read"),
            ("GET", "/v1/tokens", "keys:admin"),
            ("GET", "/v1/admin/tenants", "tenants:admin"),
            ("GET", "/metrics", "system:read"),
        ]:
            assert scope in is_problem(reader.request(method, path), 403, "forbidden")["detail"]


def test_the_operators_addresses_are_closed_to_other_tenants(api: Api) -> None:
    _, key = api.tenant("curious")
    with api.client(key) as curious:
        for path in ("/v1/admin/tenants", "/v1/admin/audit", "/v1/admin/garbage", "/metrics"):
            is_problem(curious.get(path), 403, "forbidden")
