"""Everything that this package raises.

LowbitError
├── ProblemError            the service answered with a problem; has code, status, detail, hint, request_id, errors
│   ├── AuthenticationProblem   401, 403: no key, or not a valid one
│   ├── NotFound                404: no such id
│   ├── Conflict                409: the state of a resource does not allow it
│   ├── ValidationProblem       400, 411, 413, 415, 422: the request or a file is not acceptable
│   └── RateLimited             429: has retry_after_seconds
├── NoConnection            no service is known, or it does not answer
├── JobFailed               the job failed or was cancelled; has job and problem
├── ObjectiveUnmet          the job succeeded, but no candidate met the objective; has job
├── JobNotFinished          the job has no result yet; has job
├── WaitTimeout             waiting ended before the work did; the work goes on
├── UnsuitableSource        a path holds nothing that the service takes; nothing was sent
└── DigestMismatch          downloaded bytes are not the bytes announced
"""

from typing import Any, Protocol

from lowbit.problem import Problem
from lowbit.resources import JobResult, RawProblem


class LowbitError(Exception):
    """The base of all errors of this package."""


class ProblemError(LowbitError):
    """The service said no, and why. `str(error)` has all of it, one fact on each line."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.explain())
        self.problem = problem
        self.code = problem.code
        self.status = problem.status
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        self.hint = problem.hint
        self.request_id = problem.request_id


class AuthenticationProblem(ProblemError):
    """The key is missing or not valid, or may not do this."""


class NotFound(ProblemError):
    """There is nothing with this id."""


class Conflict(ProblemError):
    """The state of the resource does not allow it."""


class ValidationProblem(ProblemError):
    """The request, or a file it names, is not acceptable."""


class RateLimited(ProblemError):
    """Too many requests. `retry_after_seconds` is the pause that the service asks for, if it named one."""

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_seconds = retry_after_seconds


class NoConnection(LowbitError):
    """No service is known, or it cannot be reached, or what answers there is not Lowbit."""


class DigestMismatch(LowbitError):
    """Downloaded bytes do not have the announced sha256. The partial file was removed."""


class WaitTimeout(LowbitError):
    """The time to wait is over. The work goes on in the service; wait again by the id in the message."""


class UnsuitableSource(LowbitError):
    """What lies at a path is nothing that the service takes. Nothing was sent; the message says what would do."""


class KnownJob(Protocol):
    """What the errors about one job read of it."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def result(self) -> JobResult | None: ...
    @property
    def error(self) -> RawProblem | None: ...


class JobError(LowbitError):
    """What the errors about one job have in common."""

    def __init__(self, job: KnownJob, message: str) -> None:
        super().__init__(message)
        self.job: Any = job
        """The `lowbit.Job`, with all that it can do. It raises these errors, so they cannot name its type."""


class JobFailed(JobError):
    """The job failed or was cancelled. `problem` says why; it is None for a cancelled job."""

    def __init__(self, job: KnownJob) -> None:
        self.problem = Problem.parse(job.error) if job.error else None
        reason = self.problem.explain() if self.problem else "no reason was recorded"
        super().__init__(job, f"{job.id} was cancelled" if job.status == "cancelled" else f"{job.id} failed\n{reason}")


class ObjectiveUnmet(JobError):
    """Nothing broke, but no candidate met the objective. The best one is there to look at."""

    def __init__(self, job: KnownJob) -> None:
        super().__init__(job, job.result["verdict"] if job.result else f"{job.id} did not meet its objective")


class JobNotFinished(JobError):
    """The job has no result yet."""

    def __init__(self, job: KnownJob) -> None:
        super().__init__(job, f"{job.id} is {job.status}; it has a result once it has succeeded")


_BY_STATUS: dict[int, type[ProblemError]] = {
    400: ValidationProblem,
    401: AuthenticationProblem,
    403: AuthenticationProblem,
    404: NotFound,
    409: Conflict,
    411: ValidationProblem,
    413: ValidationProblem,
    415: ValidationProblem,
    422: ValidationProblem,
}


def error_for(problem: Problem, *, retry_after_seconds: float | None = None) -> ProblemError:
    """The exception that fits a problem: one class for each thing that a caller would do about it."""
    if problem.status == 429:
        return RateLimited(problem, retry_after_seconds)
    return _BY_STATUS.get(problem.status, ProblemError)(problem)
