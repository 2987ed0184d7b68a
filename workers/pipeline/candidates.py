"""The quantized models of one job: one for each percentile, all from the same statistics."""

import hashlib
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import onnx

from app.contracts.recipe import Recipe
from workers.pipeline.calibration import Statistics
from workers.pipeline.protocol import QuantizeTask
from workers.pipeline.reporter import Reporter
from workers.targets.onnxruntime_cpu import Prepared, build

MIN_MAX = 100.0


@dataclass(frozen=True)
class Candidate:
    """A model file in the output folder and how it came about."""

    key: str
    label: str
    percentile: float
    path: Path

    @property
    def calibration_method(self) -> str:
        return "min_max" if self.percentile == MIN_MAX else "percentile"


def percentiles_of(recipe: Recipe) -> tuple[float, ...]:
    """The ranges to try: min-max is one of them, or the only one."""
    return (MIN_MAX,) if recipe.calibration_method == "min_max" else recipe.percentiles


def build_candidates(
    prepared: Prepared, statistics: Statistics, task: QuantizeTask, folder: Path, reporter: Reporter
) -> tuple[Candidate, ...]:
    """Write one checked model for each percentile into `folder`."""
    candidates = []
    percentiles = percentiles_of(task.recipe)
    for percentile in percentiles:
        candidate = _named(percentile, task.model_name, folder)
        model = build(prepared, statistics, task.recipe, percentile=percentile, metadata=_metadata(task, percentile))
        onnx.checker.check_model(model)
        candidate.path.write_bytes(model.SerializeToString())
        candidates.append(candidate)
        reporter.progress(len(candidates), len(percentiles), "candidates")
    return tuple(candidates)


def lowbit_version() -> str:
    return metadata.version("lowbit-server")


def file_stem(model_name: str) -> str:
    """A user's name for a model as a file name: letters, digits, dot, dash and underscore."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", model_name.removesuffix(".onnx")).strip("._-")[:80]
    return stem or "model"


def _named(percentile: float, model_name: str, folder: Path) -> Candidate:
    key = "minmax" if percentile == MIN_MAX else f"p{_spelled(percentile)}"
    label = "int8 min-max" if percentile == MIN_MAX else f"int8 percentile {_spelled(percentile)}"
    return Candidate(key, label, percentile, folder / f"{file_stem(model_name)}_int8_{key}.onnx")


def _spelled(percentile: float) -> str:
    """All digits, because keys and file names are made of it: rounded, two percentiles could share a file."""
    return repr(percentile).removesuffix(".0")


def _metadata(task: QuantizeTask, percentile: float) -> dict[str, str]:
    """What the file says about itself, wherever it goes."""
    facts = {
        **task.provenance,
        "version": lowbit_version(),
        "target": task.target,
        "recipe_sha256": hashlib.sha256(task.recipe.model_dump_json().encode()).hexdigest(),
        "percentile": _spelled(percentile),
    }
    return {f"lowbit.{key}": value for key, value in facts.items()}
