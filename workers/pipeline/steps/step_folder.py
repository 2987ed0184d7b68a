"""Where results of steps lie during a job: taken over where they are there, left behind where they were computed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from app.contracts.inspection import Notice
from app.contracts.model import Contract
from workers.pipeline.steps.step_file import StepContent, StepNotWritten, StepUnusable, read_step, write_step
from workers.protocol.reporter import Reporter
from workers.protocol.step_keys import (
    STEP_FOLDER,
    Asked,
    Ground,
    Production,
    StepName,
    family_key,
    ground_of,
    key_of,
    part_key,
    step_file_name,
    step_keys,
)
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
class _Place:
    """Of one result: what it is called, and the key that it must carry."""

    name: StepName
    part: str | None
    key: str

    @property
    def file(self) -> str:
        return step_file_name(self.name, self.part)

    @property
    def title(self) -> str:
        return self.name if self.part is None else f"{self.name} {self.part[:8]}"


@dataclass(frozen=True)
class StepFolder:
    path: Path
    reporter: Reporter
    ground: Ground
    """What the job's steps stand on."""
    keeps: bool
    """False where the task does not say what its inputs are: then nothing is taken over, nor left."""

    @classmethod
    def of(cls, task: QuantizeTask, scratch: Path, reporter: Reporter) -> "StepFolder":
        path = scratch / STEP_FOLDER
        path.mkdir(exist_ok=True)
        return cls(path, reporter, ground_of(task), keeps=step_keys(task) is not None)

    def result(self, asked: Asked, form: Form[Result], compute: Callable[[], Result]) -> Result:
        """What follows from the argument and, either way, the warnings that belong to it."""
        return self._result(_Place(asked.step, None, key_of(asked)), form, compute)

    def part(self, of: Production, name: str, form: Form[Result], compute: Callable[[], Result]) -> Result:
        """The same for one candidate of those that a recipe asks for."""
        return self._result(_part(of, name), form, compute)

    def has_parts(self, of: Production, names: Iterable[str]) -> bool:
        """False if one was too large to be kept."""
        return all((self.path / _part(of, name).file).exists() for name in names)

    def leave(self, asked: Asked, form: Form[Result], result: Result) -> None:
        """A result that is known without computing, in the place of any that was there."""
        if self.keeps:
            self._leave(_Place(asked.step, None, key_of(asked)), form.packed(result), [])

    def _result(self, place: _Place, form: Form[Result], compute: Callable[[], Result]) -> Result:
        if not self.keeps:
            return compute()
        found = self._taken_over(place, form)
        if found is not None:
            return found
        warned_before = len(self.reporter.warnings)
        computed = compute()
        self._leave(place, form.packed(computed), self.reporter.warnings[warned_before:])
        return computed

    def _taken_over(self, place: _Place, form: Form[Result]) -> Result | None:
        path = self.path / place.file
        if not path.exists():
            return None
        try:
            told, content = _read(path, key=place.key)
            result = form.unpacked(content)
        except (StepUnusable, ValidationError) as error:
            self.reporter.log(f"The stored result of {place.title} cannot be used, so it is computed again: {error}")
            return None
        for notice in told.notices:
            self.reporter.warn(notice.code, notice.detail)
        self.reporter.reused(place.name, place.part)
        return result

    def _leave(self, place: _Place, content: StepContent, notices: list[Notice]) -> None:
        told = _Told(key=place.key, notices=tuple(notices), result=dict(content.facts))
        try:
            write_step(self.path / place.file, StepContent(told.model_dump(), content.arrays))
        except StepNotWritten as reason:
            self.reporter.log(f"The result of {place.title} is not kept for others: {reason}.")
        else:
            self.reporter.finished(place.name, place.part)


def _part(of: Production, name: str) -> _Place:
    return _Place("candidate", name, part_key(family_key(of), name))


def _read(path: Path, *, key: str) -> tuple[_Told, StepContent]:
    """Raises StepUnusable, ValidationError."""
    content = read_step(path)
    told = _Told.model_validate(content.facts)
    if told.key != key:
        raise StepUnusable("it was made from something else")
    return told, StepContent(told.result, content.arrays)
