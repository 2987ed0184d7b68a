"""What a serving runtime is to the rest of a job: one file or folder of this package for each, behind this protocol."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt
import onnx
import onnx_ir as ir

from workers.protocol.gathering import GraphWish
from workers.quantization.affine import DoubleArray, QParams
from workers.quantization.executor.executor import Executor, Interface
from workers.quantization.placement import Schemes
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.targets.preparation import Prepared


class Session(Executor, Protocol):
    """Serves a delivered file. The float model is run by an `Executor`, which need not be of this runtime."""

    @property
    def interface(self) -> Interface: ...

    def timed(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Callable[[], float]:
        """A function that runs once and returns the milliseconds it took."""


@dataclass(frozen=True)
class Numbers:
    """All that a method decided, and nothing about a runtime."""

    activations: Mapping[str, QParams]
    """By tensor, for every one that the placement observes."""
    weights: Mapping[str, RoundedWeight]
    """By operator, for those that multiply."""
    mean_errors: Mapping[str, DoubleArray] = field(default_factory=dict)
    """By operator: what to take out of the biases."""


class Form(NamedTuple):
    """One way to write the same numbers."""

    model: ir.Model
    key: str = ""
    """Of a form that only this runtime reads; the portable one, in standard operators, has none."""
    label: str = ""


class RuntimeFacts(NamedTuple):
    """The conditions of what is measured here."""

    runtime: str
    runtime_version: str
    cpu: str
    cpu_has_vnni: bool


class Target(Protocol):
    @property
    def name(self) -> str:
        """As jobs name it."""

    def schemes(self, *, per_channel: bool) -> Schemes:
        """What its kernels multiply. per_channel: a scale for each output channel of a weight."""

    passes: tuple[str, ...]
    """What `prepare` does to the graph, in its order, that can be left out."""

    def prepare(
        self,
        model: onnx.ModelProto,
        folder: Path | None,
        wish: GraphWish,
        schemes: Schemes,
        *,
        without: Collection[str] = (),
    ) -> Prepared:
        """Bring a float model into the form that quantizes well, and decide what will become integers.

        The outputs stay what they were, to rounding. folder: of its external data, which stays there; None: it has
        none. without: passes to leave out. Raises OpsetNotConvertible.
        """

    def place(self, graph: ir.Model, wish: GraphWish, schemes: Schemes) -> Prepared:
        """Decide anew for a graph that a pass has changed."""

    def forms(self, prepared: Prepared, numbers: Numbers) -> Iterator[Form]:
        """The portable one first; then those of the runtime's own in which something is gained."""

    def open(self, model: Path, *, threads: int, optimized: bool = True) -> Session:
        """optimized: as a user will, with all of the runtime's own passes. Raises RuntimeRefused."""

    def facts(self) -> RuntimeFacts: ...
