import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges import (
    candidate_ranges,
    entropy_range,
    min_max_range,
    mse_range,
    percentile_range,
)
from workers.quantization.scheme import INT8_WEIGHTS, UINT8_ACTIVATIONS


def observed(x: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    observer.observe(np.asarray(x, np.float32))
    return observer


def test_candidates_are_named_after_how_they_were_found() -> None:
    seen = observed(np.random.default_rng(0).normal(size=10_000))
    assert candidate_ranges(seen, percentiles=[99.9, 99.99], scheme=UINT8_ACTIVATIONS) == {
        "min_max": min_max_range(seen),
        "percentile_99.9": percentile_range(seen, 99.9),
        "percentile_99.99": percentile_range(seen, 99.99),
        "entropy": entropy_range(seen),
        "mse": mse_range(seen, UINT8_ACTIVATIONS),
    }


def test_only_what_was_asked_for_is_searched_in_that_order() -> None:
    seen = observed(np.random.default_rng(0).normal(size=1000))
    found = candidate_ranges(seen, ["mse", "min_max"], scheme=INT8_WEIGHTS)
    assert list(found) == ["mse", "min_max"]
    assert found["mse"] == mse_range(seen, INT8_WEIGHTS)


def test_percentiles_that_differ_in_the_last_digit_have_names_that_differ() -> None:
    found = candidate_ranges(
        observed([1.0]), ["percentile"], percentiles=[99, 99.999999, 100.0], scheme=UINT8_ACTIVATIONS
    )
    assert list(found) == ["percentile_99", "percentile_99.999999", "percentile_100"]


@pytest.mark.parametrize(
    "x",
    [
        [],
        np.zeros(10),
        np.full(10, 3.0),
        [np.nan] * 5,
        [np.nan, np.inf, -3.4e38, 1.0, -2.0],
        [1e-45, 1e-40, -1e-42],
        np.append(np.linspace(-1, 1, 1000), 1e29),
        np.float16([1.5, -2.5]),
    ],
    ids=["empty", "zeros", "constant", "nan", "mixed", "denormal", "outlier", "float16"],
)
def test_every_range_contains_zero_and_stays_within_the_extremes(x: Any) -> None:
    seen = observed(x)
    low, high = min_max_range(seen)
    for bottom, top in candidate_ranges(seen, scheme=UINT8_ACTIVATIONS).values():
        assert low <= bottom <= 0.0 <= top <= high


def test_what_all_methods_take_does_not_grow_with_the_values() -> None:
    """They look at buckets, of which there are as many whatever was seen: not at a hundred times the values."""
    few, many = (np.random.default_rng(0).standard_t(3, size=n) for n in (20_000, 2_000_000))
    small, large = observed(few), observed(many)
    candidate_ranges(small, scheme=UINT8_ACTIVATIONS)  # the tables of buckets are made once
    assert _seconds(lambda: candidate_ranges(large, scheme=UINT8_ACTIVATIONS)) < 10.0 * _seconds(
        lambda: candidate_ranges(small, scheme=UINT8_ACTIVATIONS)
    )


def _seconds(work: Callable[[], object]) -> float:
    """Of the processor, at best of five times."""
    spent = []
    for _ in range(5):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)
