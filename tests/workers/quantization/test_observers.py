from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.observers import BUCKETS, FloatBitsObserver, ascending_buckets, bucket_edges

anything = hnp.arrays(np.float32, st.integers(0, 80), elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


def observed(*pieces: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    for piece in pieces:
        observer.observe(piece)
    return observer


def assert_equal(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.counts, other.counts)
    assert (one.low, one.high, one.nonfinite, one.huge) == (other.low, other.high, other.nonfinite, other.huge)


@given(anything, anything)
def test_merging_is_observing_the_concatenation(a: Any, b: Any) -> None:
    assert_equal(observed(a) + observed(b), observed(np.concatenate([a, b])))


@given(anything, st.lists(st.integers(0, 80), max_size=5), st.randoms())
def test_no_split_and_no_order_changes_the_statistics(x: Any, cuts: Any, random: Any) -> None:
    pieces = np.split(x, sorted(cuts))
    random.shuffle(pieces)
    assert_equal(observed(*pieces), observed(x))


@given(anything)
def test_every_value_is_counted_exactly_once(x: Any) -> None:
    observer = observed(x)
    assert observer.total + observer.nonfinite + observer.huge == x.size


def test_nan_inf_and_masks_are_set_apart() -> None:
    observer = observed(np.array([1.0, np.nan, np.inf, -np.inf, -3.4e38, 2.0], np.float32))
    assert (observer.nonfinite, observer.huge, observer.total) == (3, 1, 2)
    assert (observer.low, observer.high) == (1.0, 2.0)


def test_a_tensor_of_nothing_but_masks_has_no_range() -> None:
    observer = observed(np.full(5, -3.4e38, np.float32))
    assert observer.total == 0
    assert observer.low == np.inf


def test_a_long_tensor_is_counted_across_its_chunks() -> None:
    x = np.random.default_rng(0).normal(size=3_000_001).astype(np.float32)
    observer = observed(x)
    assert observer.total == x.size
    assert (observer.low, observer.high) == (float(x.min()), float(x.max()))


def test_views_are_counted_like_their_copies() -> None:
    x = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert_equal(observed(x.T[::3, ::2]), observed(x.T[::3, ::2].copy()))


def test_buckets_ascend_and_cover_all_finite_values() -> None:
    order = ascending_buckets()
    assert len(set(order.tolist())) == len(order) == BUCKETS - 2 * 128  # 128 buckets a sign hold NaN and Inf
    edges = np.array([bucket_edges(int(b)) for b in order])
    assert (edges[:, 0] <= edges[:, 1]).all()
    assert (edges[1:, 0] >= edges[:-1, 1]).all()


@given(st.floats(min_value=2.0**-126, max_value=2.0**99, width=32))
def test_a_value_lies_within_its_bucket_whose_ends_are_a_128th_apart(value: Any) -> None:
    (bucket,) = np.nonzero(observed(np.float32([value])).counts)[0]
    low, high = bucket_edges(int(bucket))
    assert low <= value <= high <= low * (1 + 2.0**-7)


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_both_zeros_lie_between_the_smallest_numbers(value: Any) -> None:
    (bucket,) = np.nonzero(observed(np.float32([value])).counts)[0]
    assert 0.0 in bucket_edges(int(bucket))
