"""Every way to be poor has its code; what is good has none."""

from typing import Any

import pytest

from app.contracts.result import Metrics, OutputMetrics
from workers.pipeline.search.poor_results import poor_results

GOOD = Metrics(size_bytes=400, accuracy_delta=-0.01, speedup=1.5, samples=10)
FLOAT = Metrics(size_bytes=1000)


def codes(**changed: Any) -> list[str]:
    return [notice.code for notice in poor_results(GOOD.model_copy(update=changed), FLOAT)]


def output(**changed: Any) -> tuple[OutputMetrics, ...]:
    good = OutputMetrics(name="y", sqnr_db=35.0, values=100)
    return (good, OutputMetrics(name="z", **{"sqnr_db": 30.0, "values": 100, **changed}))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"outputs": output()}, []),
        ({"outputs": output(sqnr_db=None)}, []),
        ({"outputs": output(sqnr_db=19.9)}, ["quality_low"]),
        ({"outputs": output(sqnr_db=20.0)}, []),
        ({"accuracy_delta": -0.05}, ["quality_low"]),
        ({"accuracy_delta": -0.049}, []),
        ({"outputs": output(lost=1)}, ["answers_lost"]),
        ({"outputs": output(nonfinite=1)}, ["nonfinite_answers"]),
        ({"outputs": output(misshapen=1)}, ["shapes_differ"]),
        ({"size_bytes": 1001}, ["larger_than_float"]),
        ({"size_bytes": 1000}, []),
        ({"speedup": 0.96}, ["slower_than_float"]),
        ({"speedup": 0.98}, []),  # within what a timer can tell
        ({"speedup": None}, []),
    ],
)
def test_what_is_poor_is_told_with_its_code(changed: Any, expected: list[str]) -> None:
    assert codes(**changed) == expected


def test_the_output_that_is_poor_is_named_with_its_figure() -> None:
    (notice,) = poor_results(GOOD.model_copy(update={"outputs": output(sqnr_db=8.25)}), FLOAT)
    assert "Output z keeps 8.2 dB" in notice.detail
