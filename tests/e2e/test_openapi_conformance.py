"""Every operation of the OpenAPI document, with made-up requests of two tenants: it answers as documented, never with a
5xx, and never with anything of the other tenant's.
"""

from collections.abc import Iterator
from typing import NamedTuple

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.main import create_app
from app.settings import Settings
from tests.e2e.conversation import finished, job_body, leaks_nothing
from tests.servers.service import Service, running_service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

ENDLESS = "/v1/events"
"""A stream that only its reader ends; it has tests of its own."""

REVOKING = {"revoke_token", "rotate_token", "revoke_tenant_key", "change_tenant"}
"""With real ids these would lock the test out."""


def _operations() -> list[schemathesis.APIOperation]:
    """From the application itself; nothing is connected until it is started."""
    nowhere = {
        "database_url": "postgresql://n/n",
        "broker_url": "redis://n",
        "storage_url": "file:///tmp/lowbit-nowhere",
    }
    document = create_app(Settings.model_validate(nowhere)).openapi()
    return [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]


OPERATIONS = sorted(
    (operation for operation in _operations() if operation.path != ENDLESS),
    key=lambda operation: operation.method == "delete",  # last: the others want something to find
)


class Tenants(NamedTuple):
    """A tenant with one of everything, and a stranger with nothing."""

    url: str
    owner_key: str
    stranger_key: str
    owned: dict[str, str]
    """An id for each parameter of a path, all of them the owner's."""


@pytest.fixture(scope="module")
def tenants() -> Iterator[Tenants]:
    """On a service of their own, which the garbage that is sent here cannot hurt others through."""
    environment = {
        "LOWBIT_WEBHOOKS_ENABLED": "true",
        "LOWBIT_WEBHOOK_ALLOW_PRIVATE": "true",
        "LOWBIT_RATE_LIMIT_PER_MINUTE": "0",
    }
    with running_service(environment=environment) as service, service.client() as operator:
        owner, stranger = (_key_of_new_tenant(operator, name) for name in ("owner", "stranger"))
        yield Tenants(service.url, owner, stranger, _everything(service, owner))


def _key_of_new_tenant(operator: httpx2.Client, name: str) -> str:
    tenant = operator.post("/v1/admin/tenants", json={"name": name})
    assert tenant.status_code == 201, tenant.text
    made = operator.post(f"/v1/admin/tenants/{tenant.json()['id']}/keys", json={"name": "all", "scopes": ["*"]})
    assert made.status_code == 201, made.text
    key: str = made.json()["key"]
    return key


def _everything(service: Service, key: str) -> dict[str, str]:
    with service.client(key=key) as http:
        job = finished(http, http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()["id"])
        assert job["status"] == "succeeded", job
        model = http.get(f"/v1/models/{job['model_id']}").json()
        upload = http.post("/v1/uploads", json={"filename": "m.onnx", "bytes": 6_000_000, "purpose": "model"})
        assert upload.status_code == 201, upload.text
        token = http.post("/v1/tokens", json={"name": "another", "scopes": ["models:read"]})
        assert token.status_code == 201, token.text
        hook = http.post("/v1/webhooks", json={"url": "https://localhost:9/", "event_types": ["job.failed"]})
        assert hook.status_code == 201, hook.text
        me = http.get("/v1/me").json()
        return {
            "job_id": job["id"],
            "file_id": model["file_id"],
            "models": model["id"],
            "datasets": job["calibration_dataset_id"],
            "variant_id": job["result"]["best_variant_id"],
            "artifact_id": http.get(job["links"]["artifacts"]).json()["data"][0]["id"],
            "upload_id": upload.json()["id"],
            "token_id": token.json()["id"],
            "webhook_id": hook.json()["id"],
            "tenant_id": me["tenant_id"],
        }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_an_operation_answers_as_documented_and_tells_a_stranger_nothing(
    operation: schemathesis.APIOperation, tenants: Tenants
) -> None:
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # a failure is shown as it was met: making it smaller would take minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, real_ids=st.booleans())
    def say(case: schemathesis.Case, real_ids: bool) -> None:
        if real_ids:
            _name_what_is_owned(case, tenants)
        _answered(case, tenants, tenants.stranger_key, stranger=True)
        if not (real_ids and operation.definition.raw["operationId"] in REVOKING):
            _answered(case, tenants, tenants.owner_key, stranger=False)

    say()


def _name_what_is_owned(case: schemathesis.Case, tenants: Tenants) -> None:
    collection = case.operation.path.split("/")[2] if case.operation.path.startswith("/v1/") else ""
    for name in list(case.path_parameters or {}):
        owned = tenants.owned.get(collection if name == "resource_id" else name)
        if owned is not None:
            case.path_parameters[name] = owned


def _answered(case: schemathesis.Case, tenants: Tenants, key: str, *, stranger: bool) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    try:
        response = case.call(base_url=tenants.url, headers=headers, timeout=90, allow_redirects=False)
    except requests.exceptions.InvalidHeader:
        return  # it cannot be sent, so it cannot arrive
    case.validate_response(response, checks=CHECKS)
    text = response.content.decode(errors="replace")
    leaks_nothing(text)
    if stranger:
        said = _said_by_the_client(case)
        for owned in tenants.owned.values():
            assert owned not in text or owned in said, f"{owned} of another tenant in {text}"
        if any(owned in case.formatted_path for owned in tenants.owned.values()):
            assert 400 <= response.status_code < 500, text


def _said_by_the_client(case: schemathesis.Case) -> str:
    """What an error may repeat: the address that was asked for, and the body."""
    return f"{case.formatted_path} {case.body!r} {case.query!r}"


def test_what_is_excluded_is_still_there() -> None:
    operations = _operations()
    assert ENDLESS in {operation.path for operation in operations}
    assert {operation.definition.raw["operationId"] for operation in operations} > REVOKING
