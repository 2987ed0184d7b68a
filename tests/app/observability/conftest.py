"""Jobs to be counted, as the tests of the job engine make them."""

from tests.app.jobs.conftest import make_job, sessions

__all__ = ["make_job", "sessions"]
