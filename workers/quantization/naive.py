"""Absmax and zero-point quantization as introductions teach them: the whole tensor at once, to int8 -128..127.

They differ from `affine` in three ways.
1. The scale is inverted: codes per unit, not units per code. q = round(scale * x + zero_point), x' = (q - zero_point)
   / scale. Products and quotients round differently, so a code may differ by one from that of `affine`.
2. The zero point is added before rounding, and is not clamped: with values far from zero it lies outside int8.
3. The range is not widened to contain zero: zero itself may have no code.
Kept to compare with; every method of this package uses `affine`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray, NonFiniteValues

# a range narrower than this counts as none, as in `affine`: the quotient would overflow soon after
_NARROWEST_EXTENT = np.float32(2.0**-100)


@dataclass(frozen=True)
class NaiveCodes:
    """A tensor as int8 codes. scale: codes per unit, float32."""

    codes: npt.NDArray[np.int8]
    scale: np.float32
    zero_point: np.float32

    def dequantize(self) -> FloatArray:
        """(q - zero_point) / scale, float32."""
        reals: FloatArray = (self.codes.astype(np.float32) - self.zero_point) / self.scale
        return reals


def absmax_quantize(x: FloatArray) -> NaiveCodes:
    """Codes -127..127: q = round(127 / max|x| * x), zero_point = 0.

    A tensor of zeros gets scale 1, where the formula divides by zero. Error bound: max|x| / 254.
    Raises NonFiniteValues.
    """
    largest = _finite(np.abs(x).max(initial=0.0))
    scale = np.float32(1.0) if largest < _NARROWEST_EXTENT else _quotient(127.0, largest)
    return NaiveCodes(np.rint(scale * x).astype(np.int8), scale, np.float32(0.0))


def zero_point_quantize(x: FloatArray) -> NaiveCodes:
    """Codes -128..127: q = clip(round(scale * x + zero_point)), scale = 255 / (max - min), of a constant 255.

    zero_point = round(-scale * min - 128), so that the minimum gets the code -128.
    Error bound: 1 / scale while |scale * min| < 2^22; beyond, float32 cannot tell neighbouring codes apart.
    Raises NonFiniteValues.
    """
    low, high = (x.min(), x.max()) if x.size else (np.float32(0.0), np.float32(0.0))
    with np.errstate(over="ignore", invalid="ignore"):  # refused in the same line
        extent = _finite(high - low)
    scale = np.float32(255.0) if extent < _NARROWEST_EXTENT else _quotient(255.0, extent)
    zero_point = np.rint(-scale * low - np.float32(128.0))
    steps = np.rint(x * scale + zero_point)
    return NaiveCodes(np.clip(steps, -128, 127).astype(np.int8), scale, zero_point)


def _quotient(codes: float, extent: np.float32) -> np.float32:
    # torch divides a number by a tensor as a reciprocal and a product: the same bits need the same order
    return np.float32(1.0) / extent * np.float32(codes)


def _finite(extent: np.float32) -> np.float32:
    if not np.isfinite(extent):
        raise NonFiniteValues("The values hold NaN or infinity, or their range overflows float32.")
    return extent
