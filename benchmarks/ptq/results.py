"""The figures of one run of `make bench-ptq`, and the form in which they are kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import results
from benchmarks.results import Conditions, Run

FLOAT = "float"
LOWBIT, ORT_MINMAX = "lowbit", "ort_minmax"

_KEYS = {"cnn_skewed": "cnn_skewed_per_tensor"}
"""Subjects that are kept under a name that says more."""


@dataclass(frozen=True)
class Judged:
    """One model, judged in ONNX Runtime."""

    accuracy: float | None
    """Share of labels met; None when the data has none."""
    agreement: float
    """Share of predictions equal to the float model's."""
    sqnr_db: float | None
    """None for the float model itself, or outputs equal to the last bit."""
    size_mb: float
    speedups: Mapping[str, float]
    """By batch size: the float model's p50 over this model's."""

    def stored(self) -> dict[str, float | None]:
        return {
            "accuracy": self.accuracy,
            "agreement": self.agreement,
            "sqnr_db": self.sqnr_db,
            "size_mb": self.size_mb,
            **{f"speedup_b{size}": speedup for size, speedup in self.speedups.items()},
        }


@dataclass(frozen=True)
class CalibrationCost:
    """Whole processes that only calibrate, round by round."""

    subject: str
    runs: tuple[Run, ...]
    range_search_ms_per_tensor: float
    tensors: Mapping[str, int]
    """How many each contender calibrates: ONNX Runtime's default is all that it could quantize."""

    def stored(self) -> dict[str, object]:
        measured = results.Results({}, self.runs, ())
        counts = sorted({run.samples for run in self.runs if run.contender == ORT_MINMAX})
        ratios = {samples: measured.ratio(self.subject, LOWBIT, ORT_MINMAX, samples) for samples in counts}
        growth = measured.growth_mib(self.subject, LOWBIT)
        smallest, largest = measured.counts[0], measured.counts[-1]
        return {
            "wall_ratio_to_ort_minmax": {str(samples): ratio and ratio.median for samples, ratio in ratios.items()},
            f"rss_growth_mb_{smallest}_to_{largest}": None if growth is None else growth * 2**20 / 1e6,
            "range_search_ms_per_tensor": self.range_search_ms_per_tensor,
        }


@dataclass(frozen=True)
class Results:
    conditions: Conditions
    calibration: CalibrationCost
    judged: Mapping[str, Mapping[str, Judged]]
    """By subject and name of the model."""

    def stored(self) -> dict[str, object]:
        models = {
            _KEYS.get(subject, subject): {name: judged.stored() for name, judged in found.items()}
            for subject, found in self.judged.items()
        }
        return {"conditions": self.conditions, "calibration": self.calibration.stored(), **models}

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.stored(), indent=1) + "\n", encoding="utf-8")
