from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.observers import ChannelObserver, ChannelsDiffer

moderate = st.floats(-1e6, 1e6, width=32)
rows_of_four = hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=moderate)


def observed(*pieces: Any, channels: int = 4, axis: int = -1) -> ChannelObserver:
    observer = ChannelObserver.of(channels, axis=axis)
    for piece in pieces:
        observer.observe(piece)
    return observer


def assert_same(one: ChannelObserver, other: ChannelObserver) -> None:
    """Equal in what is exact; in the sums up to rounding, whose bound is a share of the sum of magnitudes."""
    for name in ("counts", "low", "high"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.nonfinite, one.huge) == (other.nonfinite, other.huge)
    np.testing.assert_allclose(one.sums_of_squares, other.sums_of_squares, rtol=1e-13)
    np.testing.assert_allclose(one.sums, other.sums, rtol=0, atol=1e-13 * 200 * 1e6)


@given(rows_of_four, rows_of_four)
def test_merging_is_observing_the_concatenation(a: Any, b: Any) -> None:
    assert_same(observed(a) + observed(b), observed(np.concatenate([a, b])))


@given(rows_of_four, st.lists(st.integers(0, 12), max_size=4), st.randoms())
def test_no_split_and_no_order_changes_the_statistics(x: Any, cuts: Any, random: Any) -> None:
    pieces = np.split(x, sorted(cuts))
    random.shuffle(pieces)
    assert_same(observed(*pieces), observed(x))


@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 50, 7), -1), ((3, 7, 50, 11), 1), ((7, 9), 0), ((7,), 0), ((2, 7, 1 << 18), 1)]
)
def test_it_is_numpys_reductions_along_any_axis_of_any_size(shape: Any, axis: int) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, size=shape).astype(np.float32)
    others = tuple(d for d in range(x.ndim) if d != axis % x.ndim)
    seen = observed(x, channels=7, axis=axis)
    np.testing.assert_array_equal(seen.low, x.min(axis=others))
    np.testing.assert_array_equal(seen.high, x.max(axis=others))
    np.testing.assert_array_equal(seen.counts, np.full(7, x.size // 7))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(seen.mean, wide.mean(axis=others), rtol=1e-12)
    np.testing.assert_allclose(seen.mean_square, (wide**2).mean(axis=others), rtol=1e-12)
    np.testing.assert_allclose(seen.variance, wide.var(axis=others), rtol=1e-9, atol=1e-12)


def test_nan_inf_and_masks_spoil_only_themselves() -> None:
    x = np.float32([[1, np.nan], [2, 5], [np.inf, -3.4e38], [-4, 7]])
    seen = observed(x, channels=2)
    assert (seen.nonfinite, seen.huge) == (2, 1)
    assert seen.counts.tolist() == [3, 2]
    assert seen.low.tolist() == [-4.0, 5.0]
    assert seen.high.tolist() == [2.0, 7.0]
    assert seen.sums.tolist() == [1 + 2 - 4, 5 + 7]
    assert seen.sums_of_squares.tolist() == [1 + 4 + 16, 25 + 49]


def test_a_channel_that_is_never_usable_has_no_range_and_a_mean_of_zero() -> None:
    seen = observed(np.float32([[np.nan, 1.0]]), channels=2)
    assert (seen.low[0], seen.high[0], seen.mean[0], seen.variance[0]) == (np.inf, -np.inf, 0.0, 0.0)


def test_no_rows_change_nothing() -> None:
    x = np.float32([[1, 2, 3, 4]])
    assert_same(observed(np.zeros((0, 4), np.float32), x), observed(x))


def test_views_and_shorter_floats_are_like_their_copies() -> None:
    x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float16)
    assert_same(observed(x[::3, ::2]), observed(x[::3, ::2].astype(np.float32).copy()))


def test_a_constant_has_no_variance() -> None:
    assert observed(np.full((100, 4), 0.1, np.float32)).variance.max() < 1e-16


def test_other_channels_are_refused() -> None:
    with pytest.raises(ChannelsDiffer, match=r"axis -1 of \(2, 5\) should have 4 channels"):
        observed(np.zeros((2, 5), np.float32))
    with pytest.raises(ChannelsDiffer, match="4 channels on axis -1 and 5 on axis 1"):
        observed() + observed(channels=5, axis=1)
