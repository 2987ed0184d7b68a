"""Fixtures that several folders share: real servers, each started once for a run."""

from collections.abc import Iterator
from functools import cache

import pytest
from botocore.loaders import create_loader
from hypothesis import HealthCheck, settings

from tests import time_by_folder
from tests.servers.api import Api, running_api
from tests.servers.postgres import Database, running_postgres
from tests.servers.seaweedfs import S3Address, running_seaweedfs
from tests.servers.service import Service, running_service
from tests.servers.valkey import running_valkey

# the same examples in every run, however slow the machine; `pytest --hypothesis-profile default` looks for new ones
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

LONGEST_READABLE = 40

LONGEST_FIRST = ("tests/e2e/", "tests/faults/", "tests/benchmarks/", "tests/docker/", "tests/workers/", "tests/app/")
"""Two processes share the files in this order: a file of minutes that comes last would leave one of them idle."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that were made on the spot (a zip has the time in it) must not name a test: both processes that share the
    tests know them by their names. pytest numbers those that end up with the same one."""
    if not isinstance(val, bytes):
        return None
    is_readable = len(val) <= LONGEST_READABLE and val.isascii() and val.decode().isprintable()
    return None if is_readable else argname


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A virtual machine may stand still for seconds while all clocks go on. A test of how soon something is given up,
    or that a short lease holds, fails then whatever the code does: it is tried again, and the summary says so."""
    for item in items:
        if item.get_closest_marker("pace"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=5))
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    """Within a rank everything stays as it was."""
    ranks = (rank for rank, folder in enumerate(LONGEST_FIRST) if nodeid.startswith(folder))
    return next(ranks, len(LONGEST_FIRST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    time_by_folder.write(terminalreporter)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """The one server. Tests ask for one of its databases."""
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def database(postgres: Database) -> Database:
    """Migrated, and shared: the API of other tests runs on it."""
    return postgres


@pytest.fixture(scope="session")
def quiet_database(postgres: Database) -> Database:
    """Migrated, and nothing happens in it but what a test does: no API runs on it."""
    return postgres.another()


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A whole service, shared: tests leave it as they found it, but for the resources they made."""
    with running_service() as running:
        yield running


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The URL of a Valkey, as Celery spells it."""
    with running_valkey() as url:
        yield url


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Address]:
    """An S3 server, shared: tests keep to prefixes of their own."""
    with running_seaweedfs(tmp_path_factory.mktemp("weed")) as address, pytest.MonkeyPatch.context() as patch:
        # each store has a boto3 session of its own, and each of these would read the megabytes that describe S3 again
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        yield address


@pytest.fixture(scope="session")
def api(database: Database, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API without workers, shared: tests make tenants of their own, so that they do not meet."""
    settings = {"auth_failures_per_minute": 0, "webhooks_enabled": True}
    with running_api(database, broker, tmp_path_factory.mktemp("api"), **settings) as running:
        yield running
