"""What calibration and measurement need of whoever runs a graph, and what can go wrong.

ExecutorError
|-- OperatorNotSupported   an operator that neither the table nor an ONNX function body explains
|-- OperatorFailed         an operator refused the values that reached it
|-- RuntimeRefused         ONNX Runtime could not load the graph, or gave up while running it
|-- ConstantIsFixed        a run with another value for a constant that shapes were worked out from
|-- InputMissing           a run without one of the graph's inputs
`-- ValueNotInGraph        an output was asked for that no node computes
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Port(NamedTuple):
    """An input or output as a session shows it."""

    name: str
    type: str
    """As the runtime spells it."""
    axes: int | None
    """None where it is no tensor."""


Interface = tuple[tuple[Port, ...], tuple[Port, ...]]
"""Inputs and outputs, in order."""


class Executor(Protocol):
    """Runs one graph. Any value of the graph may be asked for by name, not only its outputs."""

    @property
    def name(self) -> str:
        """Who runs the graph, and on what: it goes into the result."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What `run` must be fed; inputs with a default are left out."""

    @property
    def outputs(self) -> tuple[str, ...]: ...

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """The values named in `outputs`, or the graph's own.

        Raises InputMissing, ValueNotInGraph, and OperatorFailed or RuntimeRefused.
        """


class ExecutorError(Exception):
    pass


@dataclass(eq=False)
class OperatorNotSupported(ExecutorError):
    operator: str
    domain: str
    opset: int
    node: str
    reason: str = "there is no such entry in the table, nor a function body"

    def __str__(self) -> str:
        where = f"{self.domain or 'ai.onnx'} {self.opset}"
        return f"node {self.node!r}: operator {self.operator} ({where}) is not supported: {self.reason}"


@dataclass(eq=False)
class OperatorFailed(ExecutorError):
    operator: str
    node: str
    reason: str

    def __str__(self) -> str:
        return f"node {self.node!r}: operator {self.operator} failed: {self.reason}"


@dataclass(eq=False)
class RuntimeRefused(ExecutorError):
    reason: str

    def __str__(self) -> str:
        return f"ONNX Runtime: {self.reason}"


@dataclass(eq=False)
class InputMissing(ExecutorError):
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"the graph also needs {', '.join(self.names)}"


@dataclass(eq=False)
class ConstantIsFixed(ExecutorError):
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.names)} cannot be fed: shapes were worked out from the model's own value"


@dataclass(eq=False)
class ValueNotInGraph(ExecutorError):
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"the graph computes no {', '.join(self.names)}"


def checked_feeds(feeds: Mapping[str, Array], inputs: Sequence[str]) -> dict[str, Array]:
    """The arrays by name, whatever the caller's kind of array. Raises InputMissing."""
    missing = tuple(name for name in inputs if name not in feeds)
    if missing:
        raise InputMissing(missing)
    return {name: np.asarray(value) for name, value in feeds.items()}
