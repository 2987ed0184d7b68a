from typing import Any

import numpy as np
import pytest

from workers.quantization.affine import choose_qparams, fake_quantize
from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges import min_max_range, mse_range
from workers.quantization.ranges.density import density_of
from workers.quantization.ranges.mse import CLIPS, expected_square_errors
from workers.quantization.scheme import INT8_WEIGHTS, UINT8_ACTIVATIONS, Scheme

INT4 = Scheme("int8", "per_tensor", -7, 7, "absmax_over_q_max")
UINT4 = Scheme("uint8", "per_tensor", 0, 15, "range_over_steps")
SCHEMES = [INT8_WEIGHTS, UINT8_ACTIVATIONS, INT4, UINT4]

RNG = np.random.default_rng(0)
BELL = RNG.normal(size=100_000).astype(np.float32)
SHAPES = {
    "bell": BELL,
    "relu": np.maximum(BELL, 0),
    "tail": RNG.standard_t(4, size=100_000).astype(np.float32),
    "skewed": (RNG.gamma(2.0, size=100_000) - 0.4).astype(np.float32),
    "two_signs": np.where(BELL > 0, 10 * BELL, BELL),
    "even": RNG.uniform(-1.0, 3.0, size=100_000).astype(np.float32),
}


def observed(x: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    observer.observe(np.asarray(x, np.float32))
    return observer


def measured(x: Any, low: float, high: float, scheme: Scheme) -> float:
    moved = x - fake_quantize(x, choose_qparams(low, high, scheme))
    return float(np.mean(moved.astype(np.float64) ** 2))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_expected_error_is_the_measured_one_to_one_percent(shape: str, scheme: Scheme) -> None:
    x = SHAPES[shape]
    low, high = min_max_range(observed(x))
    clips = CLIPS[::10]
    expected = expected_square_errors(density_of(observed(x)), low * clips, high * clips, scheme)
    brute = [measured(x, low * clip, high * clip, scheme) for clip in clips]
    np.testing.assert_allclose(expected, brute, rtol=0.01)


@pytest.mark.parametrize("scheme", [INT8_WEIGHTS, INT4])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_symmetric_range_is_the_best_of_all_clips_to_one_step(shape: str, scheme: Scheme) -> None:
    x = SHAPES[shape]
    reach = float(np.abs(x).max())
    brute = [measured(x, -reach * clip, reach * clip, scheme) for clip in CLIPS]
    low, high = mse_range(observed(x), scheme)
    ours = int(np.argmin(np.abs(CLIPS - max(-low, high) / reach)))
    assert abs(ours - int(np.argmin(brute))) <= 1
    assert measured(x, low, high, scheme) <= 1.01 * min(brute)


@pytest.mark.parametrize("scheme", [UINT8_ACTIVATIONS, UINT4])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_asymmetric_range_is_as_good_as_any_pair_of_clips(shape: str, scheme: Scheme) -> None:
    x = SHAPES[shape][:20_000]
    low, high = min_max_range(observed(x))
    clips = CLIPS[:75:3]
    brute = [measured(x, low * a, high * b, scheme) for a in clips for b in clips]
    assert measured(x, *mse_range(observed(x), scheme), scheme) <= 1.01 * min(brute)


def test_values_too_small_for_any_step_are_lost_whole() -> None:
    # the finest step is 100 / 64 / 127 = 0.0123: all of the bell becomes zero, under every clip
    x = np.append(BELL * np.float32(1e-3), np.float32(100.0))
    whole = expected_square_errors(density_of(observed(x)), np.array([-100.0]), np.array([100.0]), INT8_WEIGHTS)
    assert whole[0] == pytest.approx(measured(x, -100.0, 100.0, INT8_WEIGHTS), rel=0.01)
    assert whole[0] == pytest.approx(1e-6, rel=0.02)  # the variance of the bell


def test_the_error_of_equal_values_is_that_of_one() -> None:
    # 1 is clipped to 0.5 and to 0.75: (1 - 0.5)^2 and (1 - 0.75)^2
    density, highs = density_of(observed(np.ones(7))), np.array([0.5, 0.75])
    np.testing.assert_allclose(expected_square_errors(density, -highs, highs, INT8_WEIGHTS), [0.25, 0.0625], rtol=1e-4)


def test_values_on_a_few_levels_are_kept_where_their_bucket_is_known() -> None:
    # 0 and 1 only: any clip loses, the full range loses nothing
    assert mse_range(observed(np.repeat([0.0, 1.0], 1000)), UINT8_ACTIVATIONS) == (0.0, 1.0)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("value", [2.5, -2.5, 1e29, 1e-20])
def test_a_constant_keeps_itself(value: float, scheme: Scheme) -> None:
    single = float(np.float32(value))
    assert mse_range(observed(np.full(50, value)), scheme) == (min(single, 0.0), max(single, 0.0))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_zeros_denormals_masks_and_nothing_have_the_range_they_have(scheme: Scheme) -> None:
    assert mse_range(FloatBitsObserver(), scheme) == (0.0, 0.0)
    assert mse_range(observed(np.zeros(50)), scheme) == (0.0, 0.0)
    assert mse_range(observed([np.nan, -3.4e38]), scheme) == (0.0, 0.0)
    low, high = mse_range(observed([1e-40, -1e-40]), scheme)
    assert -1e-39 < low <= 0.0 <= high < 1e-39


def test_masks_do_not_move_a_range() -> None:
    masked = np.concatenate([BELL, np.full(1000, -3.4e38, np.float32)])
    assert mse_range(observed(masked), UINT8_ACTIVATIONS) == mse_range(observed(BELL), UINT8_ACTIVATIONS)


def test_one_enormous_outlier_is_kept_because_losing_it_costs_most() -> None:
    x = np.append(BELL, np.float32(1e29))
    assert mse_range(observed(x), INT8_WEIGHTS)[1] == float(np.float32(1e29))


def test_the_error_of_nothing_is_nothing() -> None:
    nothing = density_of(FloatBitsObserver())
    assert expected_square_errors(nothing, np.array([-1.0]), np.array([1.0]), INT8_WEIGHTS).tolist() == [0.0]
