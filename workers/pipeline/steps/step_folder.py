"""Where results of steps lie during a job: taken over where they are there, left behind where they were computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from app.contracts.inspection import Notice
from app.contracts.model import Contract
from workers.pipeline.steps.step_file import StepContent, StepNotWritten, StepUnusable, read_step, write_step
from workers.protocol.reporter import Reporter
from workers.protocol.step_keys import STEP_FOLDER, StepName, step_file_name, steps_of
from workers.protocol.tasks import QuantizeTask

Result = TypeVar("Result")


class Form(Protocol[Result]):
    """How one step's result is stored."""

    def packed(self, result: Result) -> StepContent: ...

    def unpacked(self, content: StepContent) -> Result:
        """Exactly what was packed. Raises StepUnusable for content that no step of this job would have packed."""


class _Told(Contract):
    """The facts of a file."""

    key: str
    notices: tuple[Notice, ...]
    """The step's warnings, which belong to its result."""
    result: dict[str, Any]


@dataclass(frozen=True)
class StepFolder:
    path: Path
    keys: Mapping[StepName, str]
    """Of the steps whose results are kept."""
    reporter: Reporter

    @classmethod
    def of(cls, task: QuantizeTask, scratch: Path, reporter: Reporter) -> "StepFolder":
        path = scratch / STEP_FOLDER
        path.mkdir(exist_ok=True)
        return cls(path, dict(steps_of(task)), reporter)

    def result(self, name: StepName, form: Form[Result], compute: Callable[[], Result]) -> Result:
        """The step's result and, either way, the warnings that belong to it."""
        if name not in self.keys:
            return compute()
        found = self._taken_over(name, form)
        if found is not None:
            return found
        warned_before = len(self.reporter.warnings)
        computed = compute()
        self._leave(name, form.packed(computed), self.reporter.warnings[warned_before:])
        return computed

    def _taken_over(self, name: StepName, form: Form[Result]) -> Result | None:
        path = self.path / step_file_name(name)
        if not path.exists():
            return None
        try:
            told, content = _read(path, key=self.keys[name])
            result = form.unpacked(content)
        except (StepUnusable, ValidationError) as error:
            self.reporter.log(f"The stored result of {name} cannot be used, so it is computed again: {error}")
            return None
        for notice in told.notices:
            self.reporter.warn(notice.code, notice.detail)
        self.reporter.reused(name)
        return result

    def _leave(self, name: StepName, content: StepContent, notices: list[Notice]) -> None:
        told = _Told(key=self.keys[name], notices=tuple(notices), result=dict(content.facts))
        try:
            write_step(self.path / step_file_name(name), StepContent(told.model_dump(), content.arrays))
        except StepNotWritten as reason:
            self.reporter.log(f"The result of {name} is not kept for others: {reason}.")
        else:
            self.reporter.finished(name)


def _read(path: Path, *, key: str) -> tuple[_Told, StepContent]:
    """Raises StepUnusable, ValidationError."""
    content = read_step(path)
    told = _Told.model_validate(content.facts)
    if told.key != key:
        raise StepUnusable("it was made from something else")
    return told, StepContent(told.result, content.arrays)
