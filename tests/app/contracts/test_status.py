"""The table of transitions, taken by itself. `tests/app/jobs/test_lease.py` holds the statements against it."""

from itertools import product

from app.contracts.status import LEASED, TERMINAL, TRANSITIONS, JobStatus

ALLOWED = {
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "queued"),
    ("running", "cancelling"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("cancelling", "cancelled"),
    ("cancelling", "succeeded"),
    ("cancelling", "failed"),
    ("failed", "queued"),
}


def test_every_pair_is_allowed_or_forbidden_as_written_here() -> None:
    for before, after in product(JobStatus, JobStatus):
        assert (after in TRANSITIONS[before]) == ((before, after) in ALLOWED), (before, after)


def test_nothing_leads_out_of_a_terminal_status_but_the_requeue_of_a_failed_job() -> None:
    assert {(before, after) for before in TERMINAL for after in TRANSITIONS[before]} == {("failed", "queued")}


def test_only_leased_jobs_can_succeed_or_fail() -> None:
    for before in JobStatus:
        if TRANSITIONS[before] & {JobStatus.SUCCEEDED, JobStatus.FAILED}:
            assert before in LEASED
