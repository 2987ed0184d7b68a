"""Sums over a layer's errors, against the whole data at once."""

import numpy as np
import pytest

from workers.quantization.affine import choose_qparams, fake_quantize
from workers.quantization.layer_trial import LayerError, representable
from workers.quantization.scheme import UINT8_ACTIVATIONS


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("shape", "axis"), [((12, 5), -1), ((4, 6, 5), -1), ((6, 5, 3, 2), 1)])
def test_parts_add_up_to_the_whole_and_the_mean_error_is_per_channel(shape: tuple[int, ...], axis: int) -> None:
    y, error = normal(*shape), 0.1 * normal(*shape, seed=1) + 0.05
    once, parts = LayerError(), LayerError()
    once.observe_output(y, y + error, channel_axis=axis)
    for rows in (slice(0, 1), slice(1, 3), slice(3, None)):
        parts.observe_output(y[rows], (y + error)[rows], channel_axis=axis)
    others = tuple(d for d in range(len(shape)) if d != axis % len(shape))
    # within the rounding of y + error in float32
    np.testing.assert_allclose(once.bias, error.mean(axis=others), atol=1e-6)
    np.testing.assert_allclose(parts.bias, once.bias, rtol=1e-6)
    assert once.positions == parts.positions == y.size // 5
    assert parts.output_noise == pytest.approx(float(np.square(error).sum()), rel=1e-4)
    assert parts.output_signal == pytest.approx(float(np.square(y).sum()), rel=1e-5)


def test_the_noise_after_correction_is_what_is_left_when_the_means_are_gone() -> None:
    y, error = normal(200, 3), 0.1 * normal(200, 3, seed=1) + np.array([0.0, 0.5, -1.0], np.float32)
    found = LayerError()
    found.observe_output(y, y + error, channel_axis=-1)
    assert found.corrected_noise == pytest.approx(float(np.square(error - error.mean(axis=0)).sum()), rel=1e-3)
    constant = LayerError()
    constant.observe_output(np.zeros((4, 2), np.float32), np.full((4, 2), 0.3, np.float32), channel_axis=-1)
    assert 0.0 <= constant.corrected_noise < 1e-6


def test_clipping_starts_half_a_step_beyond_the_last_code() -> None:
    qparams = choose_qparams(-1.0, 1.55, UINT8_ACTIVATIONS)  # a step of 0.01, zero at code 100
    low, high = representable(qparams)
    assert (low, high) == pytest.approx((-1.005, 1.555), abs=1e-6)
    x = np.array([-1.01, -1.004, 0.0, 1.554, 1.56, 3.0], np.float32)
    found = LayerError()
    found.observe_input(x, fake_quantize(x, qparams), qparams)
    assert found.clip_fraction == 3 / 6
    # errors: -1.01 and 1.56 are clipped by 0.01, 3.0 by 1.45; -1.004 and 1.554 are rounded by 0.004
    assert found.input_noise == pytest.approx(2 * 0.01**2 + 1.45**2 + 2 * 0.004**2, rel=1e-3)


def test_nothing_seen_is_no_error() -> None:
    found = LayerError()
    assert (found.clip_fraction, found.corrected_noise, found.positions) == (0.0, 0.0, 0)
    assert found.bias.size == 0


def test_zeros_have_no_signal_and_no_noise() -> None:
    qparams = choose_qparams(0.0, 0.0, UINT8_ACTIVATIONS)
    x = np.zeros((3, 4), np.float32)
    found = LayerError()
    found.observe_input(x, fake_quantize(x, qparams), qparams)
    found.observe_output(x, x, channel_axis=-1)
    assert (found.input_signal, found.input_noise, found.clip_fraction, found.output_noise) == (0.0, 0.0, 0.0, 0.0)
    assert found.bias.tolist() == [0.0] * 4
