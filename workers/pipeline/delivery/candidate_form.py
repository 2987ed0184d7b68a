"""How what was made of one proposal is stored: its files as they are, and what is known about each as facts.

A file says about itself which job made it and from what. That alone is written anew when another job takes it over:
the model in it stays the same to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from pydantic import Field, TypeAdapter, ValidationError

from app.contracts.model import Contract
from app.contracts.result import LayerReport
from workers.pipeline.delivery.candidates import Candidate, Produced, facts_of, file_name
from workers.pipeline.steps.step_file import StepContent, StepUnusable
from workers.protocol.tasks import QuantizeTask
from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.graph.model_file import files_of
from workers.targets.stamp import restamped
from workers.targets.target import Target


class _Stored(Contract):
    """A candidate without its file, which is the array of the same number."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]
    label: Annotated[str, Field(max_length=200)]
    method: Annotated[str, Field(max_length=64)]
    dtype: Annotated[str, Field(pattern=r"^[a-z0-9+]{1,64}$")]
    percentile: float | None
    layers: tuple[LayerReport, ...]
    portable: Annotated[int, Field(ge=0)] | None
    """The number of the candidate that is the same model in standard operators."""


_CANDIDATES: TypeAdapter[tuple[_Stored, ...]] = TypeAdapter(tuple[_Stored, ...])
_CALIBRATED_BY: TypeAdapter[str | None] = TypeAdapter(Annotated[str, Field(max_length=64)] | None)


@dataclass(frozen=True)
class CandidateForm:
    """`inputs` and `outputs`: the names that every candidate shares with the float model."""

    task: QuantizeTask
    target: Target
    folder: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def packed(self, result: Produced) -> StepContent:
        paths = [candidate.path for candidate in result.candidates]
        stored = [
            _Stored(
                key=c.key,
                label=c.label,
                method=c.method,
                dtype=c.dtype,
                percentile=c.percentile,
                layers=c.layers,
                portable=None if c.portable is None else paths.index(c.portable),
            )
            for c in result.candidates
        ]
        facts = {"candidates": [s.model_dump(mode="json") for s in stored], "calibrated_by": result.calibrated_by}
        arrays = {str(i): np.memmap(path, np.uint8, "r") for i, path in enumerate(paths)}
        # counted, so that the whole is too large to be kept; were it not, nobody would take it over
        data = {f"{i}.data": np.memmap(f, np.uint8, "r") for i, path in enumerate(paths) for f in files_of(path)[1:]}
        return StepContent(facts, {**arrays, **data})

    def unpacked(self, content: StepContent) -> Produced:
        """Writes the files. Raises StepUnusable."""
        try:
            stored = _CANDIDATES.validate_python(content.facts.get("candidates"), strict=False)
            calibrated_by = _CALIBRATED_BY.validate_python(content.facts.get("calibrated_by"))
        except ValidationError as error:
            raise StepUnusable("it is no list of candidates") from error
        _require_sound(stored, content.arrays)
        found = [self._written(one, content.arrays[str(i)]) for i, one in enumerate(stored)]
        linked = (
            candidate if one.portable is None else replace(candidate, portable=found[one.portable].path)
            for one, candidate in zip(stored, found, strict=True)
        )
        return Produced(tuple(linked), calibrated_by)

    def _written(self, one: _Stored, content: npt.NDArray[np.generic]) -> Candidate:
        path = self.folder / file_name(self.task, one.key, one.dtype)
        facts = facts_of(self.task, label=one.label, percentile=one.percentile)
        path.write_bytes(restamped(_model(content.tobytes()), facts).SerializeToString())
        self._require_runnable(path)
        return Candidate(one.key, one.label, one.method, one.dtype, one.percentile, path, one.layers)

    def _require_runnable(self, path: Path) -> None:
        """That the runtime takes it is tried here, while there is still another way."""
        try:
            session = self.target.open(path, threads=self.task.threads)
        except RuntimeRefused as error:
            raise StepUnusable("a model cannot be loaded") from error
        if (session.inputs, session.outputs) != (self.inputs, self.outputs):
            raise StepUnusable("a model has other inputs or outputs")


@dataclass(frozen=True)
class PartsForm:
    """The names of all candidates that were made for a recipe; exactly these."""

    parts: tuple[str, ...]

    def packed(self, result: tuple[str, ...]) -> StepContent:
        return StepContent({"parts": list(result)})

    def unpacked(self, content: StepContent) -> tuple[str, ...]:
        if content.facts != {"parts": list(self.parts)}:
            raise StepUnusable("its candidates are not those that this job asks for")
        return self.parts


def _model(content: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise StepUnusable("a model cannot be loaded") from error
    return model


def _require_sound(stored: Sequence[_Stored], arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    if not stored or len({one.key for one in stored}) != len(stored):
        raise StepUnusable("it has no candidates, or two of one name")
    if arrays.keys() != {str(i) for i in range(len(stored))} or any(a.dtype != np.uint8 for a in arrays.values()):
        raise StepUnusable("its files are not those of its candidates")
    if any(one.portable is not None and one.portable >= len(stored) for one in stored):
        raise StepUnusable("it names a portable form that is not there")
