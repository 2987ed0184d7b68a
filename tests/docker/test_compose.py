"""The compose files: complete, without default secrets, closed to the outside."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docker.compose import (
    COMPOSE,
    EXTERNAL,
    ROOT,
    complete_environment,
    compose_config,
    names_in_example,
    services,
)

CONNECTIONS = {
    "LOWBIT_DATABASE_URL": "postgresql://lowbit_app:pw@db.example/lowbit",
    "LOWBIT_BROKER_URL": "redis://:pw@broker.example:6379/0",
    "LOWBIT_STORAGE_URL": "s3://bucket?region=eu-west-1",
    "LOWBIT_S3_ACCESS_KEY_ID": "id",
    "LOWBIT_S3_SECRET_ACCESS_KEY": "secret",
}
SECRET = re.compile("PASSWORD|SECRET|_KEY|TOKEN|_AUTH")
OURS = ["api", "migrate", "worker", "worker-gpu"]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return services(COMPOSE, complete_environment())


def test_it_starts_these_services(composed: dict[str, Any]) -> None:
    assert sorted(composed) == [*OURS[:2], "postgres", "s3", "valkey", *OURS[2:]]
    assert composed["worker-gpu"]["profiles"] == ["gpu"]


@pytest.mark.parametrize("name", names_in_example())
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_missing_value_is_named(name: str, value: str | None) -> None:
    environment = complete_environment()
    del environment[name]
    answer = compose_config(COMPOSE, environment if value is None else {**environment, name: value})
    assert answer.returncode != 0
    assert f"set {name} in .env" in answer.stderr


@pytest.mark.parametrize("name", CONNECTIONS)
def test_external_services_name_a_missing_value_too(name: str) -> None:
    environment = {key: value for key, value in CONNECTIONS.items() if key != name}
    answer = compose_config(EXTERNAL, environment)
    assert answer.returncode != 0
    assert f"set {name} in .env" in answer.stderr


def test_external_services_use_what_they_are_given() -> None:
    found = services(EXTERNAL, CONNECTIONS)
    assert sorted(found) == ["api", "migrate", "worker"]
    for name in ("api", "worker"):
        assert CONNECTIONS.items() <= found[name]["environment"].items()
    assert "LOWBIT_DATABASE_OWNER_URL" not in found["api"]["environment"]


def test_the_example_lists_exactly_what_is_required() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    assert required == set(names_in_example())


def test_the_example_holds_no_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#") and not line.endswith("=")] == []


@pytest.mark.parametrize("file", [COMPOSE, EXTERNAL], ids=lambda file: file.name)
def test_no_secret_has_a_default(file: Path) -> None:
    text = file.read_text()
    with_default = set(re.findall(r"\$\{(\w+):?-", text))
    assert [name for name in with_default if SECRET.search(name)] == []
    given = re.findall(r"^ *(\w+): *(.*)$", text, flags=re.MULTILINE)
    assert [name for name, value in given if SECRET.search(name) and value and not value.startswith("${")] == []


def test_every_service_is_confined(composed: dict[str, Any]) -> None:
    for name, service in composed.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
    assert not any("cap_add" in composed[name] for name in OURS)


def test_only_the_api_is_published_and_only_on_loopback(composed: dict[str, Any]) -> None:
    published = {name: [port["host_ip"] for port in service.get("ports", [])] for name, service in composed.items()}
    assert {name: hosts for name, hosts in published.items() if hosts} == {"api": ["127.0.0.1"]}
    assert {name for name, service in composed.items() if "edge" in service["networks"]} == {"api"}


def test_the_service_does_not_connect_as_the_owner(composed: dict[str, Any]) -> None:
    for name in OURS:
        assert composed[name]["environment"]["LOWBIT_DATABASE_URL"].startswith("postgresql://lowbit_app:")
    holders = [name for name, service in composed.items() if "LOWBIT_DATABASE_OWNER_URL" in service["environment"]]
    assert holders == ["migrate"]


def test_nothing_starts_before_what_it_needs(composed: dict[str, Any]) -> None:
    needs = {name: set(service.get("depends_on", {})) for name, service in composed.items()}
    assert needs["migrate"] == {"postgres"}
    assert needs["api"] == needs["worker"] == needs["worker-gpu"] == {"migrate", "valkey", "s3"}
    for service in composed.values():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other == "migrate" else "service_healthy"
            assert how["condition"] == expected
    assert all("test" in composed[name]["healthcheck"] for name in ("postgres", "valkey", "s3"))


def test_every_file_that_is_mounted_or_built_exists(composed: dict[str, Any]) -> None:
    mounts = [v["source"] for s in composed.values() for v in s.get("volumes", []) if v["type"] == "bind"]
    builds = [s["build"]["dockerfile"] for s in composed.values() if "build" in s]
    assert len(mounts) == 2
    assert len(builds) == 4
    assert all((ROOT / path).is_file() for path in [*mounts, *builds])


def test_memory_can_be_set() -> None:
    found = services(COMPOSE, {**complete_environment(), "WORKER_MEMORY": "3g", "WORKER_CPUS": "1.5", "GPU_COUNT": "2"})
    assert found["worker"]["mem_limit"] == str(3 * 1024**3)
    assert found["worker"]["cpus"] == 1.5
    assert found["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2
    assert found["worker-gpu"]["environment"]["LOWBIT_GPU_WORKERS"] == "2"
