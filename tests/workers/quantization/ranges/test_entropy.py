import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnxruntime.quantization.calibrate import HistogramCollector

from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges import entropy_range
from workers.quantization.ranges.density import density_of
from workers.quantization.ranges.entropy import entropy_divergences, equal_bins


def observed(x: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    observer.observe(np.asarray(x, np.float32))
    return observer


def divergence_as_published(bins: list[float], i: int, levels: int) -> float:
    """KL(P_i, Q_i), written down from the slides with no thought of speed."""
    reference = bins[:i]
    reference[-1] += sum(bins[i:])
    level_of = [k * levels // i for k in range(i)]
    sums, members = [0.0] * levels, [0] * levels
    for k in range(i):
        if bins[k] > 0:
            sums[level_of[k]] += bins[k]
            members[level_of[k]] += 1
    candidate = [sums[level_of[k]] / members[level_of[k]] if bins[k] > 0 else 0.0 for k in range(i)]
    total_p, total_q = sum(reference), sum(candidate)
    divergence = 0.0
    for p, q in zip(reference, candidate, strict=True):
        if p > 0 and q == 0:
            return math.inf
        if p > 0:
            divergence += p / total_p * math.log(p / total_p / (q / total_q))
    return divergence


def as_published(histogram: Any, levels: int) -> list[float]:
    bins = [float(count) for count in histogram]
    return [divergence_as_published(bins, i, levels) for i in range(levels, len(bins) + 1)]


def bell(bins: int) -> Any:
    return np.histogram(np.abs(np.random.default_rng(0).normal(size=200_000)), bins=bins)[0].astype(np.float64)


@pytest.mark.parametrize(("bins", "levels"), [(512, 32), (300, 128), (129, 128), (64, 64)])
def test_every_divergence_is_that_of_the_published_definition(bins: int, levels: int) -> None:
    histogram = bell(bins)
    np.testing.assert_allclose(
        entropy_divergences(histogram, levels=levels), as_published(histogram, levels), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=40)
@given(hnp.arrays(np.float64, st.integers(16, 70), elements=st.sampled_from([0.0, 0.0, 1.0, 2.5, 700.0])))
def test_gaps_and_fractions_change_nothing_about_that(histogram: Any) -> None:
    histogram[-1] = 1.0  # the bin of the largest value is never empty
    np.testing.assert_allclose(
        entropy_divergences(histogram, levels=16), as_published(histogram, 16), rtol=1e-9, atol=1e-12
    )


def test_the_equal_bins_are_numpys_to_one_bucket() -> None:
    x = np.random.default_rng(0).standard_t(4, size=100_000).astype(np.float32)
    magnitudes, reach = np.abs(x.astype(np.float64)), float(np.abs(x).max())
    histogram = equal_bins(density_of(observed(x)), reach=reach)
    assert histogram.sum() == pytest.approx(x.size)
    below, edges = np.cumsum(histogram), np.linspace(0, reach, 2049)[1:]
    bucket = 1.0 + 2.0**-7
    least = np.searchsorted(np.sort(magnitudes), edges / bucket, side="right")
    most = np.searchsorted(np.sort(magnitudes), edges * bucket, side="right")
    assert (below >= least - 1e-6).all()
    assert (below <= most + 1e-6).all()


def test_zeros_do_not_count() -> None:
    x = np.abs(np.random.default_rng(0).normal(size=50_000))
    assert entropy_range(observed(np.concatenate([x, np.zeros(500_000)]))) == entropy_range(observed(x))


def test_a_long_tail_is_clipped_and_an_even_spread_is_not() -> None:
    rng = np.random.default_rng(0)
    tail = rng.laplace(size=200_000)
    low, high = entropy_range(observed(tail))
    assert high == -low
    assert 5.0 < high < 0.9 * np.abs(tail).max()
    even = rng.uniform(-1.0, 1.0, size=200_000)
    assert entropy_range(observed(even))[1] > 0.98


def test_it_chooses_about_what_onnxruntime_chooses_on_a_smooth_bell() -> None:
    # Theirs: a signed histogram, outliers added at both ends, floor(size / levels) bins a level and what is left over
    # in the last, whole counts, empty bins smoothed. On a symmetric bell most of it does not matter.
    x = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    collector = HistogramCollector(
        method="entropy", symmetric=True, num_bins=1023, num_quantized_bins=255, percentile=None, scenario="same"
    )
    collector.collect_value({"x": x})
    theirs = collector.get_entropy_threshold(collector.get_histogram_dict()["x"], 255)
    assert entropy_range(observed(x))[1] == pytest.approx(float(theirs[1]), rel=0.15)


@pytest.mark.parametrize("value", [2.5, -2.5, 1e29, 1e-30])
def test_a_constant_keeps_itself(value: float) -> None:
    single = float(np.float32(value))
    assert entropy_range(observed(np.full(50, value))) == (min(single, 0.0), max(single, 0.0))


def test_zeros_denormals_and_nothing_have_the_range_they_have() -> None:
    assert entropy_range(observed(np.zeros(50))) == (0.0, 0.0)
    assert entropy_range(FloatBitsObserver()) == (0.0, 0.0)
    assert entropy_range(observed([np.nan, -3.4e38])) == (0.0, 0.0)
    assert entropy_range(observed([1e-40, -1e-40]))[1] == float(np.float32(1e-40))


def test_an_outlier_that_leaves_one_bin_to_all_others_is_not_clipped() -> None:
    # every candidate would put it where nothing was: no divergence is finite but that of the whole range
    x = np.concatenate([np.random.default_rng(0).normal(size=1000), [1e29]])
    assert entropy_range(observed(x)) == (pytest.approx(x.min()), float(np.float32(1e29)))


def test_a_range_ends_where_its_values_end() -> None:
    x = np.random.default_rng(0).normal(size=100_000)
    low, high = entropy_range(observed(np.where(x < 0.0, 0.05 * x, x)))
    assert low == float(np.float32(0.05 * x.min()))
    assert high > 3.0
