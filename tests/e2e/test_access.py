"""Nobody gets in without a key: default deny, walked over every route that the application has."""

import re

import httpx2
import pytest

from app.auth.keys import generate
from tests.e2e.conversation import is_problem
from tests.servers.service import Service

PUBLIC = {("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/problems/{code}")}


def _operations(http: httpx2.Client) -> list[tuple[str, str]]:
    paths = http.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, operations in paths.items() for method in operations]


def test_every_route_but_the_public_ones_wants_a_key(service: Service, http: httpx2.Client) -> None:
    operations = _operations(http)
    assert set(operations) >= PUBLIC
    assert len(operations) > 25
    with httpx2.Client(base_url=service.url) as stranger:
        for method, path in operations:
            response = stranger.request(method, re.sub(r"{\w+}", "x", path))
            if (method, path) in PUBLIC:
                assert response.status_code != 401
            else:
                assert response.status_code == 401, (method, path)
                assert response.headers["www-authenticate"] == "Bearer"


def test_paths_that_do_not_exist_tell_a_stranger_nothing(service: Service) -> None:
    with httpx2.Client(base_url=service.url) as stranger:
        for path in ("/docs", "/redoc", "/v1", "/v1/nothing", "/metrics", "/static/x"):
            is_problem(stranger.get(path), 401, "missing_credentials")


@pytest.mark.parametrize(
    "header", ["Bearer x", "Bearer lb_aaaaaaaaaaaa_" + "b" * 49, "Bearer ü", "Bearer " + "x" * 5000]
)
def test_a_wrong_key_is_refused(service: Service, header: str) -> None:
    with httpx2.Client(base_url=service.url) as stranger:
        response = stranger.get("/v1/jobs", headers=[(b"Authorization", header.encode("latin-1"))])
        is_problem(response, 401, "invalid_credentials")


def test_a_well_formed_key_of_nobody_is_refused(service: Service) -> None:
    with service.client(key=generate().text()) as stranger:
        is_problem(stranger.get("/v1/jobs"), 401, "invalid_credentials")


def test_the_right_id_with_another_secret_is_refused(service: Service) -> None:
    key = generate()._replace(id=service.key.split("_")[1])
    with service.client(key=key.text()) as stranger:
        is_problem(stranger.get("/v1/jobs"), 401, "invalid_credentials")


def test_other_ways_to_carry_a_key_do_not_work(service: Service) -> None:
    with httpx2.Client(base_url=service.url) as stranger:
        is_problem(stranger.get("/v1/jobs", params={"token": service.key}), 401, "missing_credentials")
        is_problem(stranger.get("/v1/jobs", headers={"Authorization": service.key}), 401, "missing_credentials")
        is_problem(stranger.get("/v1/jobs", auth=("admin", service.key)), 401, "missing_credentials")


def test_another_host_name_is_refused(http: httpx2.Client) -> None:
    is_problem(http.get("/v1/jobs", headers={"Host": "evil.test"}), 400, "host_not_allowed")
    is_problem(http.get("/healthz", headers={"Host": "evil.test:80"}), 400, "host_not_allowed")


def test_the_key_is_in_no_log(service: Service, http: httpx2.Client) -> None:
    http.get("/v1/jobs")
    secret = service.key.split("_")[2]
    for path in (service.data_dir / "logs").iterdir():
        assert secret not in path.read_text(errors="replace"), path


def test_a_clients_request_id_is_kept_if_it_is_harmless(http: httpx2.Client) -> None:
    assert http.get("/healthz", headers={"X-Request-Id": "abc-123"}).headers["x-request-id"] == "abc-123"
    assert http.get("/healthz", headers={"X-Request-Id": "a b"}).headers["x-request-id"].startswith("req_")
