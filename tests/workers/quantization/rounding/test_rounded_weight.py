"""One weight as integers: to the nearest, by GPTQ per group, with limits and with scales that are given."""

from typing import Any

import numpy as np
import pytest

from workers.quantization.affine import choose_weight_qparams, dequantize, quantize
from workers.quantization.rounding.gptq import gptq_codes
from workers.quantization.rounding.pair_limit import breaks_pair_limit
from workers.quantization.rounding.rounded_weight import round_weight
from workers.quantization.rounding.weight_rows import RowLayout
from workers.quantization.scheme import weight_scheme

PER_CHANNEL = weight_scheme(per_channel=True)
PER_TENSOR = weight_scheme(per_channel=False)
SHAPES = pytest.mark.parametrize(
    ("shape", "axis"), [((7, 5), 0), ((7, 5), 1), ((6, 3, 3, 3), 0), ((4, 1, 2), 0), ((1, 1), 1)], ids=str
)


def normal(shape: Any, seed: int = 0) -> Any:
    return (np.random.default_rng(seed).normal(size=shape) * 0.3).astype(np.float32)


def moments(rows: Any) -> Any:
    """[groups, K, K] of rows [groups, n, K]"""
    return np.einsum("gnk,gnl->gkl", rows, rows)


@SHAPES
@pytest.mark.parametrize("scheme", [PER_CHANNEL, PER_TENSOR], ids=["per channel", "per tensor"])
def test_without_limits_codes_are_those_of_the_formula(shape: Any, axis: int, scheme: Any) -> None:
    weight = normal(shape)
    found = round_weight(weight, scheme, axis=axis, limited=False)
    qparams = choose_weight_qparams(weight, scheme, axis=axis)
    np.testing.assert_array_equal(found.codes, quantize(weight, qparams))
    np.testing.assert_array_equal(found.qparams.scale, qparams.scale)
    np.testing.assert_array_equal(found.dequantized(), dequantize(quantize(weight, qparams), qparams))
    assert found.codes.shape == weight.shape


@SHAPES
def test_a_limited_weight_cannot_saturate_and_is_off_by_a_step_and_a_half_at_most(shape: Any, axis: int) -> None:
    weight = normal(shape, seed=1)
    weight[tuple(0 for _ in shape)] = 2.0  # one outlier
    found = round_weight(weight, PER_CHANNEL, axis=axis, limited=True)
    assert not breaks_pair_limit(RowLayout(shape, axis).rows(found.codes).astype(np.int8))
    steps = found.qparams.scale.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    assert (np.abs(found.dequantized() - weight) <= 1.501 * steps).all()


def test_columns_in_memory_in_any_order_give_the_same_codes() -> None:
    weight = normal((6, 10))
    turned = np.asfortranarray(weight)
    assert not turned.flags.c_contiguous
    expected, found = (round_weight(w, PER_CHANNEL, axis=1, limited=True) for w in (weight, turned[:, ::1]))
    np.testing.assert_array_equal(found.codes, expected.codes)


def test_scales_that_are_given_are_used() -> None:
    weight = normal((4, 6))
    scale = np.array([0.05, 0.1, 0.2, 1.0], np.float32)
    found = round_weight(weight, PER_CHANNEL, axis=0, limited=False, scale=scale)
    np.testing.assert_array_equal(found.qparams.scale, scale)
    np.testing.assert_array_equal(found.codes, np.rint(weight / scale[:, np.newaxis]))
    coarse = round_weight(weight, PER_TENSOR, axis=0, limited=False, scale=np.float32(0.25))
    np.testing.assert_array_equal(coarse.codes, np.rint(weight / np.float32(0.25)))


def test_a_scale_too_small_for_a_weight_clips_it() -> None:
    found = round_weight(
        np.array([[1.0, -2.0]], np.float32), PER_CHANNEL, axis=0, limited=False, scale=np.array([0.01])
    )
    assert found.codes.tolist() == [[100, -127]]


def test_neighbours_that_a_given_scale_makes_too_large_are_limited() -> None:
    weight, scale = np.array([[1.0, 0.9, -0.5, 0.9]], np.float32), np.array([0.01], np.float32)
    found = round_weight(weight, PER_CHANNEL, axis=0, limited=True, scale=scale)
    # 100 + 90 is 62 more than 128, which the larger one gives up; -50 and 90 differ in sign
    assert found.codes.tolist() == [[38, 90, -50, 90]]


def test_each_group_of_a_convolution_is_rounded_for_its_own_inputs() -> None:
    groups, channels, inputs, kernel = 3, 2, 4, 2
    weight = normal((groups * channels, inputs, kernel))
    rng = np.random.default_rng(2)
    correlated = rng.normal(size=(groups, 200, 3)) @ rng.normal(size=(groups, 3, kernel * inputs))
    hessian = moments(correlated + 0.1 * rng.normal(size=(groups, 200, kernel * inputs)))
    found = round_weight(weight, PER_CHANNEL, axis=0, limited=False, hessian=hessian)
    rows = weight.transpose(0, 2, 1).reshape(groups * channels, -1)  # [O, C/g, k] -> [O, k * C/g]
    for group in range(groups):
        own = slice(group * channels, (group + 1) * channels)
        alone = gptq_codes(
            rows[own], found.qparams.scale[own], hessian[group], q_min=-127, q_max=127, limit_pairs=False
        )
        expected = alone.reshape(channels, kernel, inputs).transpose(0, 2, 1)
        np.testing.assert_array_equal(found.codes[own], expected)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("limited", [True, False])
def test_with_a_hessian_the_product_suffers_less_though_the_weight_suffers_more(axis: int, limited: bool) -> None:
    inputs, outputs = 32, 12
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 6)) @ rng.normal(size=(6, inputs)) + 0.05 * rng.normal(size=(400, inputs))
    matrix = normal((outputs, inputs))  # [N, K]
    weight = matrix if axis == 0 else np.ascontiguousarray(matrix.T)
    nearest = round_weight(weight, PER_CHANNEL, axis=axis, limited=limited)
    by_gptq = round_weight(weight, PER_CHANNEL, axis=axis, limited=limited, hessian=moments(x[np.newaxis]))

    def noise(rounded: Any) -> float:
        error = rounded.dequantized() - weight
        return float(np.square(x @ (error.T if axis == 0 else error)).sum())

    assert noise(by_gptq) < 0.5 * noise(nearest)
    assert by_gptq.sqnr_db(weight) < nearest.sqnr_db(weight)
    if limited:
        assert not breaks_pair_limit(RowLayout(weight.shape, axis).rows(by_gptq.codes).astype(np.int8))


@pytest.mark.parametrize("hessian", [None, np.zeros((1, 6, 6)), np.eye(6)[np.newaxis]], ids=["none", "silent", "even"])
def test_independent_inputs_leave_nothing_to_make_up_for(hessian: Any) -> None:
    weight = normal((4, 6))
    nearest = round_weight(weight, PER_CHANNEL, axis=0, limited=False)
    np.testing.assert_array_equal(
        round_weight(weight, PER_CHANNEL, axis=0, limited=False, hessian=hessian).codes, nearest.codes
    )


@pytest.mark.parametrize("limited", [True, False])
def test_zeros_stay_zeros_and_have_no_error(limited: bool) -> None:
    weight = np.zeros((3, 4), np.float32)
    weight[1] = [1.0, -1.0, 0.0, 0.5]
    found = round_weight(weight, PER_CHANNEL, axis=0, limited=limited)
    assert not found.codes[[0, 2]].any()
    assert (found.qparams.scale > 0.0).all()
    nothing = round_weight(np.zeros((3, 4), np.float32), PER_CHANNEL, axis=0, limited=limited)
    assert not nothing.codes.any()
    assert nothing.sqnr_db(np.zeros((3, 4), np.float32)) is None


def test_the_figure_is_the_ratio_of_powers() -> None:
    weight = np.array([[1.0, 0.6]], np.float32)
    found = round_weight(weight, PER_TENSOR, axis=0, limited=False, scale=np.float32(0.5))
    # codes 2 and 1: errors 0 and -0.1; 10 log10((1 + 0.36) / 0.01) = 21.3354
    assert found.codes.tolist() == [[2, 1]]
    assert found.sqnr_db(weight) == pytest.approx(21.3354, abs=1e-3)
