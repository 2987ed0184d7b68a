"""What a way to make candidates is to the rest of a job: one file or folder of this package for each.

A method proposes, before any data is read; for one model and target it begins a `Maker`, which drafts what was
proposed. It writes no files and judges nothing but its own choices.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import onnx
import onnx_ir as ir

from app.contracts.model import Contract
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.result import LayerReport
from app.contracts.status import Stage
from workers.pipeline.desk import Desk
from workers.pipeline.original import Original
from workers.targets.target import Target

R_contra = TypeVar("R_contra", bound=Contract, contravariant=True)


class Proposal(Contract):
    """What is to be made: cheap to think of, to show and to digest."""

    recipe: AnyRecipe

    @property
    def part(self) -> str:
        """A name that no other proposal has. A preset is only a name for the rest."""
        return hashlib.sha256(self.model_dump_json(exclude={"recipe": {"preset"}}).encode()).hexdigest()


@dataclass(frozen=True)
class Draft:
    """A model and how it came about, before it is a file."""

    key: str
    label: str
    method: str
    """What gave the ranges, or made the model without any."""
    dtype: str
    """What the weights became."""
    percentile: float | None
    model: ir.Model
    layers: tuple[LayerReport, ...]
    is_portable: bool = True
    """In standard operators. Where it is not, the draft before it is the same model that is."""


class Maker(Protocol):
    @property
    def stage(self) -> Stage:
        """In which its work begins; it ends in `quantize`."""

    @property
    def calibrated_by(self) -> str | None:
        """What ran the float model over the calibration data; None where nothing had to, or nothing has been made."""

    def make(
        self, proposal: Proposal, original: Original, desk: Desk, *, left_out: frozenset[str] = frozenset()
    ) -> tuple[Draft, ...]:
        """Usually one, and its form for the runtime. What proposals share is done once. Raises ProblemFound.

        left_out: operators that stay in float beside those that the recipe excludes, since a runtime cannot take them.
        """


class Method(Protocol[R_contra]):
    def proposals(self, recipe: R_contra) -> tuple[Proposal, ...]:
        """In the order in which they are to be made."""

    def begin(self, recipe: R_contra, model: onnx.ModelProto, folder: Path, target: Target) -> Maker:
        """Say what the model alone shows, before data is read. folder: of its external data. Raises ProblemFound."""
