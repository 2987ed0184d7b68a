"""The exported file held against the model that it was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.contracts.problem import quoted, refuse
from workers.ingestion.checkpoint.interface import Interface
from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession

Array = npt.NDArray[Any]

MAX_DIFFERENCE = 1e-4
"""Of the largest value of an output."""


@dataclass(frozen=True)
class Expected:
    """One batch, and what torch answered to it, by name."""

    batch: Mapping[str, Array]
    answers: Mapping[str, Array]


def compare(path: Path, interface: Interface, expected: Sequence[Expected]) -> None:
    """Raises ProblemFound where ONNX Runtime's answers are not torch's."""
    for one, found in zip(expected, _answers(path, interface, expected), strict=True):
        for name, answer in zip(interface.outputs, found, strict=True):
            _compare(name, answer, one.answers[name])


def _answers(path: Path, interface: Interface, expected: Sequence[Expected]) -> list[list[Array]]:
    try:
        # the file as it is written: what the runtime would rewrite is judged where it is measured
        session = OnnxRuntimeSession(path, threads=0, optimized=False)
        return [list(session.run(one.batch, interface.outputs).values()) for one in expected]
    except RuntimeRefused as refused:
        detail = f"ONNX Runtime does not run the exported model: {quoted(refused.reason)}"
        raise refuse("export_failed", detail) from refused


def _compare(name: str, found: Array, expected: Array) -> None:
    if not np.isfinite(expected).all():
        raise refuse("export_failed", f"The model's own answer {name} to random inputs holds NaN or infinite values.")
    if found.shape != expected.shape:
        detail = f"The exported model's {name} has the shape {list(found.shape)} instead of {list(expected.shape)}."
        raise refuse("export_failed", detail)
    difference = float(np.abs(found - expected).max())
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    if not difference <= MAX_DIFFERENCE * scale:
        detail = f"The exported model's {name} differs from torch's by {difference / scale:.1e} of its largest value."
        raise refuse("export_failed", detail)
