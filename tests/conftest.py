"""Fixtures that several folders share: real servers, each started once for a run."""

from collections.abc import Iterator

import pytest

from tests.servers.postgres import Database, running_postgres
from tests.servers.service import Service, running_service


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A migrated Postgres."""
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A whole service, shared: tests leave it as they found it, but for the resources they made."""
    with running_service() as running:
        yield running
