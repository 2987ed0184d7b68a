from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.half.constants import (
    Misfit,
    is_too_large,
    is_too_small,
    is_too_small_anywhere,
    largest_magnitude,
    to_float16,
)


@settings(deadline=None)  # machines pause
@given(x=hnp.arrays(np.float32, st.integers(2, 50), elements=st.floats(-65504, 65504, width=32)))
def test_what_fits_is_rounded_as_torch_rounds_it(x: Any) -> None:
    half, _ = to_float16(x)
    np.testing.assert_array_equal(half, torch.from_numpy(x).to(torch.float16).numpy())
    bound = np.maximum(np.abs(x.astype(np.float64)) * 2.0**-11, 2.0**-25)
    assert (np.abs(half.astype(np.float64) - x) <= bound).all()


def test_finite_values_beyond_the_largest_are_clamped_and_counted() -> None:
    half, misfits = to_float16(np.float32([65504.0, 65505.0, -3.4e38, 1.0]))
    assert half.tolist() == [65504.0, 65504.0, -65504.0, 1.0]
    assert misfits == (Misfit("clamped", 2),)
    assert str(misfits[0]) == "2 beyond 65504, clamped to it"


def test_infinity_and_nan_stay_what_they_are() -> None:
    half, misfits = to_float16(np.float32([np.inf, -np.inf, np.nan]))
    assert half[:2].tolist() == [np.inf, -np.inf]
    assert np.isnan(half[2])
    assert misfits == ()


def test_values_that_vanish_are_counted_and_zeros_are_not() -> None:
    # the smallest float16 is 2^-24; its half, 2^-25, is a tie and goes to the even neighbour, zero
    half, misfits = to_float16(np.float32([0.0, -0.0, 2.0**-25, -1e-30, 2.0**-24, 1.5 * 2.0**-25]))
    assert half.tolist() == [0.0, 0.0, 0.0, 0.0, 2.0**-24, 2.0**-24]
    assert misfits == (Misfit("flushed_to_zero", 2),)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_single_tiny_value_is_raised_since_it_may_keep_a_division_from_zero(shape: Any) -> None:
    half, misfits = to_float16(np.full(shape, -1e-12, np.float32))
    assert half.ravel().tolist() == [-(2.0**-24)]
    assert half.shape == shape
    assert misfits == (Misfit("raised", 1),)


def test_an_empty_constant_and_a_view_are_taken() -> None:
    assert to_float16(np.zeros((0, 3), np.float32))[0].shape == (0, 3)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    np.testing.assert_array_equal(to_float16(x.T[::2])[0], to_float16(x)[0].T[::2])


@pytest.mark.parametrize(
    ("value", "fits"),
    [(65504.0, True), (65535.0, True), (65537.0, False), (1e7, False), (1e-5, True), (1e-6, False), (3e-8, False)],
)
def test_a_single_constant_may_be_changed_by_0_2_percent(value: float, fits: bool) -> None:
    # 65535 becomes 65504, 0.05 % less; 1e-5 becomes 168 * 2^-24, 0.14 % more; 1e-6 17 * 2^-24, 1.3 % more
    x = np.float32([value])
    assert (not is_too_large(value) and not is_too_small(x, value)) == fits


def test_values_near_zero_among_larger_ones_are_no_loss_unless_they_divide() -> None:
    x = np.float32([1.0, 1e-8, -1e-7, 0.0])
    assert not is_too_small(x, largest_magnitude(x))
    assert is_too_small_anywhere(x)


def test_a_tensor_of_nothing_but_values_near_zero_is_too_small() -> None:
    x = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32) * np.float32(1e-7)
    assert is_too_small(x, largest_magnitude(x))


def test_infinity_and_nan_have_no_part_in_the_largest_magnitude() -> None:
    assert largest_magnitude(np.float32([-np.inf, np.nan, -3.0, 2.0])) == 3.0
    assert largest_magnitude(np.float32([-np.inf])) == 0.0
    assert largest_magnitude(np.zeros((0, 2), np.float32)) == 0.0
    assert not is_too_small(np.float32([np.nan, 1e-9, 1.0]), 1.0)
