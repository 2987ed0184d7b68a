"""What to run for some outputs, and when each value was read for the last time."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Form = Literal["as_it_is", "on_device", "on_host", "numbers", "literal"]
"""How an input arrives: where it was computed, brought to the device, brought to the host, there read as Python
numbers; or bound to the step beforehand, since it is a constant."""


@dataclass(frozen=True)
class Argument:
    name: str
    form: Form
    literal: Any = None


@dataclass(frozen=True, eq=False)
class Step:
    node: str
    operator: str
    function: Callable[..., Any]
    arguments: tuple[Argument | None, ...]
    outputs: tuple[str, ...]
    on_host: bool

    @cached_property
    def reads(self) -> set[str]:
        return {a.name for a in self.arguments if a is not None and a.form != "literal"}


@dataclass(frozen=True)
class Scheduled:
    step: Step
    forget: tuple[str, ...]
    """Values that nobody reads after this step."""


def schedule(steps: Sequence[Step], wanted: Collection[str]) -> tuple[Scheduled, ...]:
    """The steps that `wanted` needs, in their order, each with the computed values that nobody reads after it."""
    needed: set[str] = set(wanted)
    result = []
    for step in reversed(steps):
        made = {name for name in step.outputs if name}
        if needed.isdisjoint(made):
            continue
        # read backwards, a value that was not needed yet is read here for the last time
        last = (step.reads | made) - needed
        needed |= step.reads
        result.append((step, last))
    computed = {name for step, _ in result for name in step.outputs if name}
    return tuple(Scheduled(step, tuple(sorted(last & computed))) for step, last in reversed(result))
