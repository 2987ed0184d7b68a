import pytest
from lowbit import errors
from lowbit.command.exits import ExitCode, exit_code_of
from lowbit.problem import Problem

from tests.client.jobs_on_paper import job


def problem(status: int) -> errors.ProblemError:
    return errors.error_for(Problem.parse({}, status=status))


def test_the_codes_are_fixed() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "OBJECTIVE_UNMET": 3,
        "AUTHENTICATION": 4,
        "NOT_FOUND": 5,
        "NO_CONNECTION": 6,
        "TIMEOUT": 124,
        "DETACHED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (problem(401), 4),
        (problem(403), 4),
        (problem(404), 5),
        (problem(409), 1),
        (problem(422), 1),
        (problem(429), 1),
        (problem(500), 1),
        (errors.NoConnection("x"), 6),
        (errors.WaitTimeout("x"), 124),
        (errors.DigestMismatch("x"), 1),
        (errors.JobFailed(job(status="failed", result=None)), 1),
        (errors.JobNotFinished(job()), 1),
        (errors.ObjectiveUnmet(job()), 3),
    ],
)
def test_each_error_has_its_code(error: errors.LowbitError, code: int) -> None:
    assert exit_code_of(error) == code
