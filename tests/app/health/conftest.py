"""Sessions on a real database, as the tests of the job engine have them."""

from tests.app.jobs.conftest import sessions

__all__ = ["sessions"]
