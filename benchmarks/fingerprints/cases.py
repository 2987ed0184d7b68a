"""The jobs that are compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from lowbit.request import JobOptions

from benchmarks.fingerprints.inputs import Subject

_QUICK: Mapping[str, Any] = {"batch_sizes": [1], "duration_s": 0.05}
"""No figure of speed is compared."""

_DEMO: JobOptions = {"max_accuracy_drop": 0.01}
"""What `make demo` says; all else is the service's default, its benchmark included."""


@dataclass(frozen=True)
class Case:
    name: str
    subject: Subject
    options: JobOptions = field(default_factory=JobOptions)


def cases(subjects: Sequence[Subject], presets: Sequence[str]) -> Iterator[Case]:
    """The job of `make demo`, every preset on each of the other subjects, then changed recipes on the digits."""
    known = {subject.name: subject for subject in subjects}
    yield Case("demo", known.pop("demo"), _DEMO)
    for name, subject in known.items():
        for preset in presets:
            yield Case(f"{name} {preset}", subject, {"recipe": preset, "benchmark": _QUICK})
    yield from _changed(known["digits"])


def _changed(subject: Subject) -> Iterator[Case]:
    for name, recipe in _recipes(_first_convolution(subject.model)).items():
        yield Case(f"{subject.name} {name}", subject, {"recipe": recipe, "benchmark": _QUICK})
    objectives: dict[str, JobOptions] = {
        "smallest": {"minimize": "size_bytes", "max_accuracy_drop": 0.01},
        "no loss": {"max_accuracy_drop": 0.0},
    }
    for name, objective in objectives.items():
        yield Case(f"{subject.name} {name}", subject, {**objective, "benchmark": _QUICK})


def _recipes(node: str) -> dict[str, dict[str, Any]]:
    """One choice at a time, where the presets make none of it or only together with others."""
    fast = {"preset": "int8-fast"}
    return {
        "moving average": {**fast, "calibration_method": "moving_average"},
        "entropy": {**fast, "calibration_method": "entropy"},
        "mse": {**fast, "calibration_method": "mse"},
        "percentiles": {**fast, "calibration_method": "percentile", "percentiles": [99.0, 99.97]},
        "measured": {**fast, "calibration_method": "measured"},
        "measured, few samples": {**fast, "calibration_method": "measured", "calibration_samples": 48},
        "per tensor": {**fast, "per_channel": False},
        "full range": {**fast, "reduce_range": False},
        "gptq, equalized": {**fast, "rounding": "gptq", "equalize": "on"},
        "bias correction": {**fast, "bias_correction": True},
        "smoothing 0.5": {**fast, "smoothquant_alpha": 0.5},
        "node excluded": {**fast, "nodes_to_exclude": [node]},
        "type excluded": {**fast, "op_types_to_exclude": ["Gemm"]},
        "accurate per tensor": {"preset": "int8-accurate", "per_channel": False, "reduce_range": False},
        "dynamic per tensor": {"preset": "int8-dynamic", "per_channel": False},
        "dynamic full range": {"preset": "int8-dynamic", "reduce_range": False},
    }


def _first_convolution(model: Path) -> str:
    nodes = onnx.load_model(model, load_external_data=False).graph.node
    return next(str(node.name) for node in nodes if node.op_type == "Conv")
