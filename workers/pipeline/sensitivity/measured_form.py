"""How what was measured tensor by tensor is stored: tables, whose order is that of the measuring."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from workers.pipeline.steps.step_file import StepContent, StepUnusable

_NOISES: TypeAdapter[list[tuple[str, float]]] = TypeAdapter(list[tuple[str, float]])
_CHOICES: TypeAdapter[list[tuple[str, str]]] = TypeAdapter(list[tuple[str, str]])


@dataclass(frozen=True)
class NoiseForm:
    """Noise at the model's output by tensor; exactly these tensors."""

    tensors: tuple[str, ...]

    def packed(self, result: dict[str, float]) -> StepContent:
        return StepContent({"noises": list(result.items())})

    def unpacked(self, content: StepContent) -> dict[str, float]:
        try:
            found = dict(_NOISES.validate_python(content.facts.get("noises")))
        except ValidationError as error:
            raise StepUnusable("it is no table of noises") from error
        if tuple(found) != self.tensors:
            raise StepUnusable("its tensors are not those that this job quantizes")
        if not all(math.isfinite(noise) and noise >= 0.0 for noise in found.values()):
            raise StepUnusable("a noise is below zero or not finite")
        return found


@dataclass(frozen=True)
class ChoiceForm:
    """The name of the chosen range by tensor, for some of the tensors."""

    names: Mapping[str, Collection[str]]
    """Among which was chosen."""

    def packed(self, result: dict[str, str]) -> StepContent:
        return StepContent({"choices": list(result.items())})

    def unpacked(self, content: StepContent) -> dict[str, str]:
        try:
            found = dict(_CHOICES.validate_python(content.facts.get("choices")))
        except ValidationError as error:
            raise StepUnusable("it is no table of choices") from error
        if not all(name in self.names.get(tensor, ()) for tensor, name in found.items()):
            raise StepUnusable("it chooses what this job does not offer")
        return found
