from itertools import permutations
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.observers import FloatBitsObserver

anything = hnp.arrays(np.float32, st.integers(0, 80), elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


def observed(*pieces: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    for piece in pieces:
        observer.observe(piece)
    return observer


def assert_equal(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.counts, other.counts)
    assert (one.nonfinite, one.huge) == (other.nonfinite, other.huge)
    assert np.float64([one.low, one.high]).tobytes() == np.float64([other.low, other.high]).tobytes()


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


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize(
    "pieces",
    [
        [[-1.0, 1.0], [-1.001, 0.5], [0.5, 1.001]],  # within one bucket: 1 to 1.0078
        [[-0.0], [1.0], [-1e-45]],
        [[0.0], [-0.0], [-0.0, 0.0]],
        [[2.0], [3.0], [1.0]],
        [[-2.0], [-3.0], [-1.0]],
    ],
)
def test_extremes_are_exact_whichever_piece_comes_first(pieces: Any, order: Any) -> None:
    x = np.float32([value for piece in pieces for value in piece])
    observer = observed(*[np.float32(pieces[i]) for i in order])
    expected = np.float64([x.min(), x.max()]) + 0.0  # no -0: a zero is a zero
    assert np.float64([observer.low, observer.high]).tobytes() == expected.tobytes()


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


@pytest.mark.parametrize("extra", [np.float32([]), np.zeros((0, 5), np.float32), np.zeros((3, 0), np.float32)])
def test_nothing_changes_nothing(extra: Any) -> None:
    x = np.float32([1.0, -2.0])
    assert_equal(observed(extra, x, extra), observed(x))
    assert observed(extra).total == 0


def test_shorter_floats_are_counted_as_the_float32_they_are() -> None:
    x = np.random.default_rng(0).normal(size=500)
    for kind in (np.float16, ml_dtypes.bfloat16):
        short = x.astype(kind)
        assert_equal(observed(short), observed(short.astype(np.float32)))


def test_a_double_beyond_float32_counts_as_infinite() -> None:
    assert observed(np.array([1e300, -1e300, 1.0])).nonfinite == 2


def test_denormals_and_both_zeros_are_values() -> None:
    observer = observed(np.float32([1e-45, -1e-45, 0.0, -0.0, 1e-39]))
    assert (observer.total, observer.nonfinite, observer.huge) == (5, 0, 0)
    assert (observer.low, observer.high) == (float(np.float32(-1e-45)), float(np.float32(1e-39)))


def test_all_nan_leaves_no_range() -> None:
    observer = observed(np.full(700_000, np.nan, np.float32))  # more than one chunk
    assert (observer.nonfinite, observer.total, observer.low) == (700_000, 0, np.inf)


def test_1e30_is_the_last_value_that_counts() -> None:
    limit = np.float32(1e30)
    observer = observed(np.float32([limit, -limit]), np.float32([np.nextafter(limit, np.float32(np.inf)), 1e29]))
    assert (observer.huge, observer.total) == (1, 3)
    assert (observer.low, observer.high) == (-float(limit), float(limit))


def test_the_histogram_is_that_of_the_top_sixteen_bits() -> None:
    x = np.random.default_rng(0).standard_t(2, size=10_001).astype(np.float32)
    expected: dict[int, int] = {}
    for bits in x.view(np.uint32).tolist():
        expected[bits >> 16] = expected.get(bits >> 16, 0) + 1
    counts = observed(x).counts
    assert {int(bucket): int(counts[bucket]) for bucket in np.nonzero(counts)[0]} == expected
