"""The ways in which an attempt comes to nothing, each with its class of retry and what the user is told.

AbnormalEnd
├── ProcessCrashed       crash
│   └── OutputUnusable   crash: what it left behind is not what was agreed
├── ProcessStalled       stalled
├── DeadlinePassed       deadline_exceeded
├── OutOfMemory          out_of_memory
└── OutOfScratch         insufficient_scratch
"""

from typing import ClassVar

from app.contracts.codes import ProblemCode
from app.contracts.problem import Problem, problem
from app.jobs.retry_class import RetryClass

MEBIBYTE = 1024**2


class AbnormalEnd(Exception):
    """`str()` of it is a sentence for the user; `log_tail` is the end of what the process wrote to stderr."""

    retry_class: ClassVar[RetryClass] = RetryClass.CRASH
    code: ClassVar[ProblemCode] = "worker_lost"
    """Of the job's error if this end is final by itself."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.log_tail: list[str] = []

    @property
    def problem(self) -> Problem:
        return problem(self.code, str(self))


class ProcessCrashed(AbnormalEnd):
    """The process ended without an outcome."""

    def __init__(self, how: str) -> None:
        super().__init__(f"The job's process died: {how}.")


class OutputUnusable(ProcessCrashed):
    """The process named an output that is not a plain file of its own, or left an outcome that contradicts itself."""


class ProcessStalled(AbnormalEnd):
    retry_class = RetryClass.STALLED

    def __init__(self, stage: str | None, silent_seconds: float) -> None:
        where = f" in the stage '{stage}'" if stage else ""
        super().__init__(f"The job's process gave no sign of life for {silent_seconds:.0f} s{where}.")


class DeadlinePassed(AbnormalEnd):
    retry_class = RetryClass.DEADLINE
    code = "deadline_exceeded"

    def __init__(self, deadline_seconds: float) -> None:
        super().__init__(f"The attempt was stopped after {deadline_seconds:g} s.")


class OutOfMemory(AbnormalEnd):
    retry_class = RetryClass.OUT_OF_MEMORY
    code = "out_of_memory"

    def __init__(self, *, peak_bytes: int, limit_bytes: int | None, limit_name: str = "the machine's own") -> None:
        limit = "" if limit_bytes is None else f" of {_mebibytes(limit_bytes)}"
        super().__init__(f"The job used {_mebibytes(peak_bytes)} of memory and reached {limit_name} limit{limit}.")


class OutOfScratch(AbnormalEnd):
    retry_class = RetryClass.USER_ERROR
    code = "insufficient_scratch"


def _mebibytes(size: int) -> str:
    return f"{round(size / MEBIBYTE)} MiB"
