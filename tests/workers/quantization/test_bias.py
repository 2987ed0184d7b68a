from typing import Any

import numpy as np

from workers.quantization.affine import choose_weight_qparams
from workers.quantization.bias import quantize_bias, weight_scale_for_bias
from workers.quantization.scheme import weight_scheme

PER_CHANNEL = weight_scheme(per_channel=True)


def restored(weight: Any, bias: Any, input_scale: float = 0.02) -> Any:
    qparams = weight_scale_for_bias(
        choose_weight_qparams(weight, PER_CHANNEL, axis=0), weight, bias, input_scale=np.float32(input_scale)
    )
    scale = qparams.scale * np.float32(input_scale)
    return quantize_bias(bias, scale).astype(np.float64) * scale, qparams


def test_an_ordinary_bias_keeps_the_weights_scale() -> None:
    weight, bias = np.float32([[0.5, -1.0], [0.2, 0.1]]), np.float32([3.0, -0.7])
    back, qparams = restored(weight, bias)
    np.testing.assert_array_equal(qparams.scale, choose_weight_qparams(weight, PER_CHANNEL, axis=0).scale)
    np.testing.assert_allclose(back, bias, atol=float(qparams.scale.max()) * 0.02)


def test_a_pruned_channel_keeps_its_bias() -> None:
    weight, bias = np.float32([[0.0, 0.0], [0.2, 0.1]]), np.float32([0.0123, 1.0])
    np.testing.assert_allclose(restored(weight, bias)[0], bias, rtol=1e-3)


def test_a_large_bias_on_tiny_weights_does_not_overflow() -> None:
    weight, bias = np.float32([[1e-12, -1e-12]]), np.float32([1000.0])
    np.testing.assert_allclose(restored(weight, bias)[0], bias, rtol=1e-6)


def test_scales_whose_product_would_vanish_stay_usable() -> None:
    weight, bias = np.float32([[1e-28]]), np.float32([1e-44])
    back, qparams = restored(weight, bias, 1e-28)
    assert np.isfinite(back).all()
    assert (qparams.scale * np.float32(1e-28) > 0).all()
