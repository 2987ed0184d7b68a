import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.quantization.affine import QParams, choose_qparams, dequantize, quantize
from workers.quantization.bias import quantize_bias
from workers.quantization.integer_only import (
    AccumulatorOverflows,
    MultiplierNotBelowOne,
    fixed_point_multiplier,
    integer_only_matmul,
    integer_products,
    requantize,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from workers.quantization.scheme import INT8_WEIGHTS, UINT8_ACTIVATIONS, Scheme

INT8_ACTIVATIONS = Scheme("int8", "per_tensor", -128, 127, "range_over_steps")
UINT8_WEIGHTS = Scheme("uint8", "per_tensor", 0, 255, "range_over_steps")

int32s = st.integers(-(2**31), 2**31 - 1)
multipliers = st.floats(2.0**-40, 1.0, exclude_max=True)


def truncated(numerator: int, denominator: int) -> int:
    """C's division of integers."""
    return math.trunc(Fraction(numerator, denominator))


@settings(deadline=None)  # machines pause
@given(a=int32s, b=int32s)
def test_the_high_product_is_that_of_gemmlowp_s_c_code(a: int, b: int) -> None:
    # gemmlowp, fixedpoint.h: a nudge of the product's sign, then a division that truncates
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    expected = 2**31 - 1 if a == b == -(2**31) else truncated(product + nudge, 2**31)
    assert saturating_rounding_doubling_high_mul(np.int32([a]), b).tolist() == [expected]


@pytest.mark.parametrize("a", [-(2**31), 2**31 - 1, 3 * 2**29, -(3 * 2**29), 2**29, -(2**29), 0, 1, -1])
@pytest.mark.parametrize("b", [-(2**31), 2**31 - 1, 2**30, -(2**30), 1])
def test_the_high_product_is_right_at_its_ties_and_ends(a: int, b: int) -> None:
    nearest = math.floor(Fraction(a * b, 2**31) + Fraction(1, 2))
    assert saturating_rounding_doubling_high_mul(np.int32([a]), b).tolist() == [min(nearest, 2**31 - 1)]


@settings(deadline=None)  # machines pause
@given(x=int32s, exponent=st.integers(0, 31))
def test_division_by_a_power_of_two_rounds_ties_away_from_zero(x: int, exponent: int) -> None:
    away = math.floor(Fraction(abs(x), 2**exponent) + Fraction(1, 2))
    expected = away if x >= 0 else -away
    # 2^31 itself has no place in 32 bits, and needs none: the high product is never -2^31 with a positive multiplier
    assert rounding_divide_by_power_of_two(np.int32([x]), exponent).tolist() == [expected]


@settings(deadline=None)  # machines pause
@given(multiplier=multipliers)
def test_a_multiplier_is_a_normalized_fixed_point_number(multiplier: float) -> None:
    fixed = fixed_point_multiplier(multiplier)
    assert 2**30 <= fixed.m0 < 2**31
    assert fixed.shift >= 0
    value = Fraction(fixed.m0) / 2 ** (31 + fixed.shift)
    assert abs(value - Fraction(multiplier)) <= Fraction(multiplier) * Fraction(101, 100) / 2**31


def test_known_multipliers() -> None:
    assert (fixed_point_multiplier(0.5).m0, fixed_point_multiplier(0.5).shift) == (2**30, 0)
    assert (fixed_point_multiplier(0.375).m0, fixed_point_multiplier(0.375).shift) == (3 * 2**29, 1)
    # just below a power of two the mantissa rounds up to 2^31 and is carried into the exponent
    assert (fixed_point_multiplier(0.25 - 2**-50).m0, fixed_point_multiplier(0.25 - 2**-50).shift) == (2**30, 1)
    assert (fixed_point_multiplier(1 - 2**-53).m0, fixed_point_multiplier(1 - 2**-53).shift) == (2**31 - 1, 0)


@pytest.mark.parametrize("multiplier", [0.0, 1.0, 1.5, -0.5, math.inf, math.nan])
def test_multipliers_outside_zero_to_one_are_refused(multiplier: float) -> None:
    with pytest.raises(MultiplierNotBelowOne):
        fixed_point_multiplier(multiplier)


@settings(deadline=None)  # machines pause
@given(accumulator=int32s, multiplier=multipliers)
def test_requantizing_is_near_the_exact_product(accumulator: int, multiplier: float) -> None:
    wide = QParams(np.float32(1.0), np.int32(3), INT8_ACTIVATIONS)
    fixed = fixed_point_multiplier(multiplier)
    exact = Fraction(accumulator) * Fraction(fixed.m0) / 2 ** (31 + fixed.shift)
    got = int(requantize(np.int32([accumulator]), fixed, wide)[0])
    # half a unit of the last rounding, and half a unit of the first one shifted down with it
    slack = Fraction(1, 2) + Fraction(1, 2 ** (fixed.shift + 1))
    assert max(min(exact - slack + 3, 127), -128) <= got <= max(min(exact + slack + 3, 127), -128)


@settings(deadline=None)  # machines pause
@given(data=st.data())
def test_products_with_zero_points_taken_out_are_the_exact_sums(data: Any) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    depth = data.draw(st.integers(1, 70))
    q1 = rng.integers(0, 256, size=(3, depth)).astype(np.uint8)
    q2 = rng.integers(-128, 128, size=(depth, 2)).astype(np.int8)
    zero_1, zero_2 = data.draw(st.integers(0, 255)), data.draw(st.integers(-128, 127))
    expected = [
        [sum((int(a) - zero_1) * (int(b) - zero_2) for a, b in zip(row, column, strict=True)) for column in q2.T]
        for row in q1
    ]
    assert integer_products(q1, q2, zero_1=zero_1, zero_2=zero_2).tolist() == expected


@pytest.mark.parametrize("weights", [INT8_WEIGHTS, UINT8_WEIGHTS])
@pytest.mark.parametrize("activations", [UINT8_ACTIVATIONS, INT8_ACTIVATIONS])
@pytest.mark.parametrize("depth", [1, 17, 512])
def test_a_layer_in_integers_is_within_one_code_of_the_same_layer_in_floats(
    weights: Scheme, activations: Scheme, depth: int
) -> None:
    rng = np.random.default_rng(depth)
    real_x = np.abs(rng.normal(size=(40, depth))).astype(np.float32)
    real_w = (rng.normal(size=(depth, 30)) + 0.1).astype(np.float32)
    real_bias = (rng.normal(size=30) * 2).astype(np.float32)
    x = choose_qparams(real_x.min(), real_x.max(), activations)
    w = choose_qparams(real_w.min(), real_w.max(), weights)
    q1, q2 = quantize(real_x, x), quantize(real_w, w)
    unit = np.float32(x.scale * w.scale)
    q_bias = quantize_bias(real_bias, unit)

    bias = q_bias.astype(np.float64) * (float(x.scale) * float(w.scale))
    floats = dequantize(q1, x).astype(np.float64) @ dequantize(q2, w).astype(np.float64) + bias
    y = choose_qparams(floats.min(), floats.max(), activations)
    expected = quantize(floats.astype(np.float32), y).astype(int)
    codes = integer_only_matmul(q1, q2, q_bias, x=x, w=w, y=y).astype(int)
    assert np.abs(codes - expected).max() <= 1
    # only ties and near-ties may differ
    assert (codes != expected).mean() < 0.01


def test_a_clamped_output_keeps_to_its_codes() -> None:
    one = QParams(np.float32(0.5), np.int32(0), Scheme("int8", "per_tensor", -127, 127, "absmax_over_q_max"))
    relu6 = QParams(np.float32(0.5), np.int32(0), Scheme("uint8", "per_tensor", 0, 12, "range_over_steps"))
    q1, q2 = np.int8([[127, 127], [-127, -127]]), np.int8([[127], [127]])
    codes = integer_only_matmul(q1, q2, np.int32([0]), x=one, w=one, y=relu6)
    assert codes.tolist() == [[12], [0]]


def test_the_deepest_sum_that_fits_is_taken_and_the_next_one_refused() -> None:
    # 255 * 127 = 32385 a product; (2^31 - 1) / 32385 = 66311.05, so 66311 products fit
    x = QParams(np.float32(0.1), np.int32(0), UINT8_ACTIVATIONS)
    w = QParams(np.float32(0.1), np.int32(0), INT8_WEIGHTS)
    y = QParams(np.float32(1e9), np.int32(0), INT8_ACTIVATIONS)
    no_bias = np.int32([0])
    deepest = 66_311
    q1, q2 = np.full((1, deepest), 255, np.uint8), np.full((deepest, 1), 127, np.int8)
    assert integer_products(q1, q2, zero_1=0, zero_2=0).tolist() == [[255 * 127 * deepest]]
    integer_only_matmul(q1, q2, no_bias, x=x, w=w, y=y)
    deeper = np.full((1, deepest + 1), 255, np.uint8), np.full((deepest + 1, 1), 127, np.int8)
    with pytest.raises(AccumulatorOverflows, match="66312 products"):
        integer_only_matmul(*deeper, no_bias, x=x, w=w, y=y)
    with pytest.raises(AccumulatorOverflows):
        integer_only_matmul(q1, q2, np.int32([-(2**31)]), x=x, w=w, y=y)
