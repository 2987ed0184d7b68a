"""From rounds of measurements to the keys of ptq.json."""

import pytest

from benchmarks.ptq.results import CalibrationCost, Judged, Results
from benchmarks.results import Run


def run_of(contender: str, samples: int, number: int, wall: float, peak: float = 100.0) -> Run:
    return Run("minilm", contender, samples, number, "ok", wall, peak, None, 0.0)


COST = CalibrationCost(
    "minilm",
    (
        *(run_of("lowbit", 32, n, 1.0, peak) for n, peak in enumerate((10.0, 11.0, 90.0))),
        *(run_of("lowbit", 128, n, wall) for n, wall in enumerate((2.0, 6.0, 1.0))),
        *(run_of("ort_minmax", 128, n, wall) for n, wall in enumerate((4.0, 2.0, 1.0))),
        *(run_of("lowbit", 512, n, 3.0, peak) for n, peak in enumerate((20.0, 21.0, 22.0))),
        *(run_of("ort_minmax", 512, n, 4.0) for n in range(3)),
    ),
    range_search_ms_per_tensor=7.0,
    tensors={"lowbit": 3, "ort_minmax": 9},
)


def test_ratios_are_the_median_of_the_rounds_and_growth_is_in_megabytes() -> None:
    assert COST.stored() == {
        # 2/4, 6/2 and 1/1; 3/4 three times
        "wall_ratio_to_ort_minmax": {"128": 1.0, "512": 0.75},
        # (21 - 11) MiB
        "rss_growth_mb_32_to_512": pytest.approx(10.48576),
        "range_search_ms_per_tensor": 7.0,
    }


def test_every_model_has_the_same_keys() -> None:
    judged = Judged(0.9, 1.0, None, 2.5, {"1": 1.0, "8": 1.5})
    stored = Results({"threads": 2}, COST, {"minilm": {"float": judged}, "cnn_skewed": {"float": judged}}).stored()
    assert set(stored) == {"conditions", "calibration", "minilm", "cnn_skewed_per_tensor"}
    assert stored["minilm"] == {
        "float": {
            "accuracy": 0.9, "agreement": 1.0, "sqnr_db": None, "size_mb": 2.5, "speedup_b1": 1.0, "speedup_b8": 1.5
        }
    }  # fmt: skip
