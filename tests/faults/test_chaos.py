"""The short form of `python -m tests.faults.chaos`, which `make test-faults` runs in full."""

import json

from tests.faults.chaos import Verdict, chaos
from tests.faults.checker import Violation
from tests.servers.seaweedfs import Seaweed


def test_jobs_survive_a_short_rage_of_kills(s3: Seaweed) -> None:
    verdict = chaos(s3, jobs=6, seconds=12.0, seed=3)
    assert verdict.found == []
    assert verdict.jobs == 6
    assert verdict.kills >= 1  # how many more fit depends on how long the service takes to heal


def test_the_line_counts_each_kind_of_violation() -> None:
    found = [
        Violation("I1", "job_1", "still running"),
        Violation("I5", "key", "made 2 jobs"),
        Violation("I3", "art_1", "has no object"),
        Violation("I3", "art_2", "has no object"),
        Violation("I8", "jobs/job_1-1", "is left in the scratch folder"),
        Violation("I7", "job_1", "was shown to tnt_b"),
    ]
    expected = {"jobs": 50, "kills": 30, "lost": 1, "doubled": 1, "wrong_artifacts": 2, "left_over": 1}
    assert json.loads(Verdict(jobs=50, kills=30, found=found).line()) == expected
