"""The benchmark at its smallest, and that its page shows the figures that were measured."""

import json
from pathlib import Path

import pytest

from benchmarks.calibration import PAGE, RESULTS, Plan, measure
from benchmarks.processes import MEMORY_LIMIT, _outcome
from benchmarks.results import Results, Run, Spread
from benchmarks.tables import BEGIN, END, figures, with_figures

TINY = Plan(subjects=("magika",), contenders=("lowbit_balanced", "ort_minmax"), counts=(1, 2), held_out=2, rounds=1)


def test_a_tiny_run_gives_every_figure(tmp_path: Path) -> None:
    results = measure(TINY, tmp_path)
    results.write(tmp_path / "results.json")
    stored = json.loads((tmp_path / "results.json").read_text())
    assert set(stored) == {"conditions", "runs", "quality"}
    assert {"date", "cpu", "threads", "onnxruntime", "lowbit-server"} <= set(stored["conditions"])
    assert [(r["contender"], r["samples"], r["outcome"]) for r in stored["runs"]] == [
        ("lowbit_balanced", 1, "ok"), ("lowbit_balanced", 2, "ok"), ("ort_minmax", 1, "ok"), ("ort_minmax", 2, "ok")
    ]  # fmt: skip
    assert all(r["wall_seconds"] > 0 and r["peak_rss_mib"] >= r["floor_rss_mib"] > 0 for r in stored["runs"])
    assert len(stored["quality"]) == (4 + 1) * 2
    assert all(0 <= q["agreement"] <= 1 and q["size_bytes"] > 0 for q in stored["quality"])
    assert Results.read(tmp_path / "results.json") == results
    assert "Lowbit `int8-balanced` (4 models) / ORT MinMax" in figures(results)


def test_the_page_shows_the_stored_figures() -> None:
    assert with_figures(PAGE.read_text(), Results.read(RESULTS)) == PAGE.read_text(), "run `make bench`"


def test_a_page_without_a_place_for_figures_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        with_figures(f"{BEGIN} and no end", Results({}, (), ()))
    assert with_figures(f"a{BEGIN}old{END}b", Results({}, (), ())).startswith(f"a{BEGIN}\n\n|")


def run_of(contender: str, samples: int, number: int, wall: float | None, peak: float = 100.0) -> Run:
    return Run("reader", contender, samples, number, "ok" if wall else MEMORY_LIMIT, wall, peak, 10.0, 0.0)


def test_ratios_pair_the_rounds_and_growth_is_the_difference_of_medians() -> None:
    ours = [run_of("lowbit_fast", 32, n, wall) for n, wall in enumerate((1.0, 2.0, 9.0))]
    theirs = [run_of("ort_minmax", 32, n, wall) for n, wall in enumerate((2.0, 2.0, 3.0))]
    large = [run_of("lowbit_fast", 132, 0, 12.0, 130.0), run_of("ort_minmax", 132, 0, None)]
    results = Results({}, (*ours, *theirs, *large), ())
    # 1/2, 2/2 and 9/3
    assert results.ratio("reader", "lowbit_fast", "ort_minmax", 32) == Spread(1.0, 0.5, 3.0)
    assert results.quietest_ratio("reader", "lowbit_fast", "ort_minmax", 32) == 0.5  # 1 / 2
    assert results.ratio("reader", "lowbit_fast", "ort_minmax", 132) is None
    assert results.growth_mib("reader", "lowbit_fast") == 30.0  # 130 - 100
    assert results.seconds_per_sample("reader", "lowbit_fast") == pytest.approx(0.1)  # (12 - 2) / 100
    assert results.growth_mib("reader", "ort_minmax") is None
    assert MEMORY_LIMIT in figures(results)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 365. MiB", MEMORY_LIMIT),
        ("terminate called after throwing an instance of 'std::bad_alloc'", MEMORY_LIMIT),
        ("Traceback\nValueError: No data is collected.", "failed with 1: ValueError: No data is collected."),
        ("", "failed with 1: no output"),
    ],
)
def test_how_a_child_ended_is_read_from_its_output(tmp_path: Path, said: str, outcome: str) -> None:
    (tmp_path / "log").write_text(said)
    assert _outcome(1, tmp_path / "log") == outcome
