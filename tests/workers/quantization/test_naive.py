from typing import Any

import numpy as np
import pytest
import torch

from workers.quantization.affine import NonFiniteValues
from workers.quantization.naive import absmax_quantize, zero_point_quantize


def absmax_as_taught(X: Any) -> Any:  # noqa: N803 - the lesson's own spelling
    scale = 127 / torch.max(torch.abs(X))
    X_quant = (scale * X).round()  # noqa: N806
    X_dequant = X_quant / scale  # noqa: N806
    return X_quant.to(torch.int8), X_dequant


def zero_point_as_taught(X: Any) -> Any:  # noqa: N803
    x_range = torch.max(X) - torch.min(X)
    x_range = 1 if x_range == 0 else x_range
    scale = 255 / x_range
    zeropoint = (-scale * torch.min(X) - 128).round()
    X_quant = torch.clip((X * scale + zeropoint).round(), -128, 127)  # noqa: N806
    X_dequant = (X_quant - zeropoint) / scale  # noqa: N806
    return X_quant.to(torch.int8), X_dequant


rng = np.random.default_rng(0)
TENSORS = {
    "normal": rng.normal(size=(313, 171)),
    "one outlier": np.append(rng.normal(size=999), 1e4),
    "positive": np.abs(rng.normal(size=1001)) + 3,
    "far from zero": rng.uniform(1e3, 1e3 + 1, size=500),
    "ties": np.arange(-254, 255) * 0.5,
    "tiny": rng.normal(size=77) * 1e-25,
    "constant": np.full(5, 2.71),
    "one value": np.array([-0.3]),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize(
    ("ours", "taught"), [(absmax_quantize, absmax_as_taught), (zero_point_quantize, zero_point_as_taught)]
)
def test_codes_and_reals_are_those_of_the_lesson_to_the_bit(name: str, ours: Any, taught: Any) -> None:
    x = TENSORS[name].astype(np.float32)
    codes, reals = taught(torch.from_numpy(x))
    result = ours(x)
    np.testing.assert_array_equal(result.codes, codes.numpy())
    np.testing.assert_array_equal(result.dequantize(), reals.numpy())


@pytest.mark.parametrize(
    ("ours", "taught"), [(absmax_quantize, absmax_as_taught), (zero_point_quantize, zero_point_as_taught)]
)
def test_many_scales_are_those_of_the_lesson_to_the_bit(ours: Any, taught: Any) -> None:
    for extent in np.linspace(0.1, 50, 500):
        x = (rng.normal(size=20) * extent).astype(np.float32)
        np.testing.assert_array_equal(ours(x).dequantize(), taught(torch.from_numpy(x))[1].numpy())


def test_a_view_is_quantized_like_its_copy() -> None:
    x = rng.normal(size=(6, 10)).astype(np.float32)
    np.testing.assert_array_equal(zero_point_quantize(x.T[::3]).codes, zero_point_quantize(x.T[::3].copy()).codes)


def test_zeros_come_back_as_zeros_where_the_lesson_divides_by_zero() -> None:
    zeros = np.zeros(4, np.float32)
    assert absmax_quantize(zeros).dequantize().tolist() == [0, 0, 0, 0]
    assert zero_point_quantize(zeros).dequantize().tolist() == [0, 0, 0, 0]
    assert absmax_quantize(zeros[:0]).codes.size == 0
    assert zero_point_quantize(zeros[:0]).codes.size == 0


def test_a_range_too_narrow_to_divide_by_counts_as_none() -> None:
    denormal = np.float32([0.0, 1e-45])
    assert absmax_quantize(denormal).dequantize().tolist() == [0.0, 0.0]
    assert zero_point_quantize(denormal).dequantize().tolist() == [0.0, 0.0]


def test_absmax_moves_no_value_by_more_than_half_a_code() -> None:
    x = rng.normal(size=10_000).astype(np.float32)
    # 1 / (127 / max) / 2 = max / 254, and float32's own rounding beside it
    assert np.abs(absmax_quantize(x).dequantize() - x).max() <= np.abs(x).max() / 254 * (1 + 1e-5)


@pytest.mark.parametrize("quantize", [absmax_quantize, zero_point_quantize])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(quantize: Any, bad: float) -> None:
    with pytest.raises(NonFiniteValues):
        quantize(np.float32([1.0, bad]))


def test_a_range_beyond_float32_is_refused() -> None:
    with pytest.raises(NonFiniteValues):
        zero_point_quantize(np.float32([-3e38, 3e38]))
