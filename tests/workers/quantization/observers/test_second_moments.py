from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.observers import ColumnsDiffer, SecondMomentObserver, linear_rows

rows_of_three = hnp.arrays(
    np.float32, st.tuples(st.just(2), st.integers(0, 9), st.just(3)), elements=st.floats(-1e3, 1e3, width=32)
)


def observed(*pieces: Any, columns: int = 3, groups: int = 2) -> SecondMomentObserver:
    observer = SecondMomentObserver.of(columns, groups=groups)
    for piece in pieces:
        observer.observe(piece)
    return observer


def assert_same(one: SecondMomentObserver, other: SecondMomentObserver) -> None:
    assert (one.rows, one.left_out) == (other.rows, other.left_out)
    largest = max(float(np.abs(other.sums).max()), 1e-30)
    assert np.abs(one.sums - other.sums).max() <= 18 * 2.0**-24 * largest  # at most 18 products were added


@given(rows_of_three, rows_of_three)
def test_merging_is_observing_the_concatenation(a: Any, b: Any) -> None:
    assert_same(observed(a) + observed(b), observed(np.concatenate([a, b], axis=1)))


@given(rows_of_three, st.lists(st.integers(0, 9), max_size=4), st.randoms())
def test_no_split_and_no_order_changes_the_sums(x: Any, cuts: Any, random: Any) -> None:
    pieces = np.split(x, sorted(cuts), axis=1)
    random.shuffle(pieces)
    assert_same(observed(*pieces), observed(x))


def test_a_linear_layers_moments_are_x_transposed_x() -> None:
    x = np.random.default_rng(0).normal(size=(5, 700, 33)).astype(np.float32)  # several blocks of rows
    seen = observed(linear_rows(x), columns=33, groups=1)
    flat = x.reshape(-1, 33).astype(np.float64)
    exact = flat.T @ flat
    np.testing.assert_allclose(seen.sums[0], exact, rtol=0, atol=16 * 2.0**-24 * exact.max())
    assert seen.rows == 3500
    np.testing.assert_array_equal(seen.sums[0], seen.sums[0].T)


@pytest.mark.parametrize("magnitude", [1e-25, 1e20, 9e29])
def test_squares_that_no_float32_holds_are_summed_all_the_same(magnitude: float) -> None:
    x = (np.random.default_rng(0).uniform(0.5, 1.0, size=(6, 3)) * magnitude).astype(np.float32)
    expected = x.astype(np.float64).T @ x.astype(np.float64)
    np.testing.assert_allclose(observed(linear_rows(x), groups=1).sums[0], expected, rtol=1e-12)


def test_a_row_with_a_bad_value_is_left_out_of_all_groups() -> None:
    x = np.ones((2, 4, 3), np.float32)
    x[0, 1, 2], x[1, 2, 0], x[1, 3, 1] = np.nan, np.inf, -3.4e38
    seen = observed(x)
    assert (seen.rows, seen.left_out) == (1, 3)
    np.testing.assert_array_equal(seen.sums, np.ones((2, 3, 3)))


def test_merging_adds_what_was_left_out() -> None:
    bad = np.full((2, 1, 3), np.nan, np.float32)
    assert (observed(bad) + observed(bad, bad)).left_out == 3


def test_no_rows_change_nothing() -> None:
    seen = observed(linear_rows(np.zeros((0, 128, 3), np.float32)), groups=1)
    assert (seen.rows, seen.sums.max()) == (0, 0.0)


def test_linear_rows_keep_the_last_axis_of_any_rank() -> None:
    x = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    assert linear_rows(x).shape == (1, 6, 4)
    assert linear_rows(x[0, 0]).tolist() == [[[0.0, 1.0, 2.0, 3.0]]]
    assert linear_rows(np.swapaxes(x, 1, 2)).tolist() == [np.swapaxes(x, 1, 2).reshape(8, 3).tolist()]


def test_other_columns_or_groups_are_refused() -> None:
    with pytest.raises(ColumnsDiffer, match=r"should be \[2, n, 3\]"):
        observed(np.zeros((2, 1, 4), np.float32))
    with pytest.raises(ColumnsDiffer, match="different layers"):
        observed() + observed(columns=4)
