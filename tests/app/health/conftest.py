"""Sessions on a real database, as the tests of the job engine have them."""

import pytest

from tests.app.jobs.conftest import sessions
from tests.servers.postgres import Database

__all__ = ["sessions"]


@pytest.fixture(scope="session")
def database(quiet_database: Database) -> Database:
    """The one that `sessions` is about."""
    return quiet_database
