"""How what was measured tensor by tensor is stored: a table for each part, whose order is that of the measuring."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from workers.pipeline.steps.step_file import StepContent, StepUnusable

Noises = dict[str, float]
"""By tensor."""

Costs = dict[str, dict[str, float]]
"""By tensor and the name of a range."""

_NOISES: TypeAdapter[list[list[tuple[str, float]]]] = TypeAdapter(list[list[tuple[str, float]]])
_COSTS: TypeAdapter[list[list[tuple[str, list[tuple[str, float]]]]]] = TypeAdapter(
    list[list[tuple[str, list[tuple[str, float]]]]]
)


@dataclass(frozen=True)
class NoiseForm:
    """Noise at the model's output by tensor; exactly these tensors, and so many tables."""

    tensors: tuple[str, ...]
    parts: int

    def packed(self, result: list[Noises]) -> StepContent:
        return StepContent({"noises": [list(noises.items()) for noises in result]})

    def unpacked(self, content: StepContent) -> list[Noises]:
        try:
            found = [dict(table) for table in _NOISES.validate_python(content.facts.get("noises"))]
        except ValidationError as error:
            raise StepUnusable("it is no table of noises") from error
        if [tuple(noises) for noises in found] != [self.tensors] * self.parts:
            raise StepUnusable("its tensors are not those that this job quantizes")
        _require_noises(noise for noises in found for noise in noises.values())
        return found


@dataclass(frozen=True)
class CostForm:
    """Noise at the model's output by tensor and range, for some of the tensors."""

    offered: tuple[Mapping[str, Collection[str]], ...]
    """For each table, the names of the ranges by tensor."""

    def packed(self, result: list[Costs]) -> StepContent:
        return StepContent({"costs": [[(tensor, list(c.items())) for tensor, c in some.items()] for some in result]})

    def unpacked(self, content: StepContent) -> list[Costs]:
        try:
            tables = _COSTS.validate_python(content.facts.get("costs"))
        except ValidationError as error:
            raise StepUnusable("it is no table of costs") from error
        found = [{tensor: dict(costs) for tensor, costs in table} for table in tables]
        if len(found) != len(self.offered):
            raise StepUnusable("it is of other parts")
        for some, offered in zip(found, self.offered, strict=True):
            if not all(set(costs) == set(offered.get(tensor, ())) for tensor, costs in some.items()):
                raise StepUnusable("it has ranges that this job does not offer")
        _require_noises(cost for some in found for costs in some.values() for cost in costs.values())
        return found


def _require_noises(noises: Iterable[float]) -> None:
    if not all(math.isfinite(noise) and noise >= 0.0 for noise in noises):
        raise StepUnusable("a noise is below zero or not finite")
