from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnxruntime.quantization.calibrate import HistogramCollector

from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges import percentile_range, percentile_ranges


def observed(x: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    observer.observe(np.asarray(x, np.float32))
    return observer


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9, 99.99, 99.999])
def test_both_ends_are_numpys_inverted_cdf_to_one_bucket(percentile: float) -> None:
    x = np.random.default_rng(0).standard_t(3, size=500_123).astype(np.float32)
    low, high = percentile_range(observed(x), percentile)
    tail = (100.0 - percentile) / 200.0
    exact_high = np.quantile(x, 1.0 - tail, method="inverted_cdf")
    exact_low = -np.quantile(-x, 1.0 - tail, method="inverted_cdf")
    assert exact_high <= high <= exact_high * (1 + 2.0**-7)
    assert exact_low * (1 + 2.0**-7) <= low <= exact_low


@given(
    hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-(2.0**66), 2.0**66, width=32)),
    st.floats(90.0, 100.0),
)
def test_at_least_the_asked_share_is_kept_and_nothing_beyond_the_extremes(x: Any, percentile: float) -> None:
    low, high = percentile_range(observed(x), percentile)
    kept = np.count_nonzero((x >= np.float32(low)) & (x <= np.float32(high)))
    assert kept >= x.size * percentile / 100.0 - 1e-6
    assert min(float(x.min()), 0.0) <= low <= 0.0 <= high <= max(float(x.max()), 0.0)


def test_a_tensor_without_negatives_loses_its_whole_tail_at_the_top() -> None:
    x = np.arange(1000, dtype=np.float32)
    low, high = percentile_range(observed(x), 90.0)
    # 10 % of 1000 values at the top: 899 is the 900th, in the bucket 896..899.99
    assert low == 0.0
    assert 899.0 <= high < 900.0


def test_a_tensor_without_positives_mirrors_it() -> None:
    x = -np.arange(1000, dtype=np.float32)
    low, high = percentile_range(observed(x), 90.0)
    assert high == 0.0
    assert -900.0 < low <= -899.0


def test_one_outlier_does_not_move_a_percentile() -> None:
    x = np.concatenate([np.linspace(-1, 1, 100_000), [1e9]])
    assert percentile_range(observed(x), 99.9)[1] <= 1.0
    assert percentile_range(observed(x), 100.0)[1] == pytest.approx(1e9)


def test_one_hundred_is_the_exact_range_widened_to_zero() -> None:
    assert percentile_range(observed([1.25, 3.7]), 100.0) == (0.0, pytest.approx(3.7))
    assert percentile_range(observed([-3.0, -1.0]), 100.0) == (-3.0, 0.0)


def test_nothing_observed_is_the_empty_range() -> None:
    assert percentile_range(FloatBitsObserver(), 99.9) == (0.0, 0.0)


def test_a_constant_and_zeros() -> None:
    assert percentile_range(observed(np.full(50, 2.5)), 99.0) == (0.0, 2.5)
    assert percentile_range(observed(np.zeros(50)), 99.0) == (0.0, 0.0)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99, 99.999])
def test_the_share_beyond_a_cut_is_numpys_within_one_buckets_mass(percentile: float) -> None:
    x = np.abs(np.random.default_rng(0).standard_t(3, size=500_123)).astype(np.float32)
    _, high = percentile_range(observed(x), percentile)
    exact = np.quantile(x, percentile / 100.0, method="inverted_cdf")
    bucket = np.count_nonzero(x.view(np.uint32) >> 16 == exact.view(np.uint32) >> 16)
    beyond, allowed = np.count_nonzero(x > high), np.count_nonzero(x > exact)
    assert allowed - bucket <= beyond <= allowed


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99])
def test_onnxruntimes_percentile_drops_as_much_within_one_of_its_bins(percentile: float) -> None:
    x = np.abs(np.random.default_rng(0).standard_t(6, size=500_123)).astype(np.float32)
    collector = HistogramCollector(
        method="percentile",
        symmetric=True,
        num_bins=2048,
        num_quantized_bins=None,
        percentile=percentile,
        scenario="same",
    )
    collector.collect_absolute_value({"x": x})
    theirs = float(collector.compute_percentile()["x"][1])
    width = float(x.max()) / 2048
    _, ours = percentile_range(observed(x), percentile)
    mass = np.count_nonzero(np.abs(x - theirs) <= width + theirs * 2.0**-7)
    assert abs(np.count_nonzero(x > ours) - np.count_nonzero(x > theirs)) <= mass


def test_a_grid_is_each_percentile_alone() -> None:
    grid = [90.0, 99.0, 99.999, 100.0]
    for x in (np.random.default_rng(0).normal(size=5000), np.zeros(3), np.full(4, -2.0), []):
        seen = observed(x)
        assert percentile_ranges(seen, grid) == [percentile_range(seen, percentile) for percentile in grid]
    assert percentile_ranges(seen, []) == []
