import pytest

from tests.time_by_folder import Spent, by_folder


def report(nodeid: str, when: str, seconds: float) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, when, duration=seconds)  # type: ignore[arg-type]


def test_a_folder_has_the_time_of_all_phases_of_all_that_lies_in_it() -> None:
    reports = [
        report("tests/e2e/test_a.py::test_one", "setup", 0.5),
        report("tests/app/jobs/deep/test_b.py::test_two[x/y]", "setup", 4.0),
        report("tests/app/jobs/deep/test_b.py::test_two[x/y]", "call", 2.0),
        report("tests/app/jobs/test_c.py::test_three", "teardown", 1.0),
        report("tests/e2e/test_a.py::test_one", "call", 0.25),
    ]
    assert by_folder(reports) == [Spent("tests/app/jobs", 2, 7.0), Spent("tests/e2e", 1, 0.75)]
