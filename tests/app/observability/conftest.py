"""Jobs to be counted, as the tests of the job engine make them."""

import pytest

from tests.app.jobs.conftest import make_job, sessions
from tests.servers.postgres import Database

__all__ = ["make_job", "sessions"]


@pytest.fixture(scope="session")
def database(quiet_database: Database) -> Database:
    """One in which nobody else makes jobs."""
    return quiet_database
