"""Integer-only inference as TensorFlow does it: a matrix product that never leaves the integers, not even to rescale.

    S3 (q3 - Z3) = sum_j S1 (q1 - Z1) * S2 (q2 - Z2) + bias          reals, equation 3
    q3 = Z3 + M * (sum_j (q1 - Z1) (q2 - Z2) + bias),  M = S1 S2 / S3  equation 4; the bias has the unit S1 S2
    M = 2^-n * M0, M0 in [0.5, 1) a 32-bit fixed-point number          equation 6

A reference to check kernels and claims with, written for clearness: q1 is [rows, depth], q2 [depth, columns].
Source: Jacob et al. 2018, arXiv:1712.05877, sections 2.2 to 2.4; rounding as in gemmlowp, fixedpoint.h.
Deviation: M of 1 or more is refused; TensorFlow Lite shifts left there, which can overflow.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import IntArray, QParams

Int32Array = npt.NDArray[np.int32]

_INT32_MAX = 2**31 - 1


class MultiplierNotBelowOne(ValueError):
    """M = S1 S2 / S3 is not in (0, 1): the output's scale is too fine for what its inputs resolve."""


class AccumulatorOverflows(ValueError):
    """The sum of products may leave 32 bits."""


@dataclass(frozen=True)
class FixedPointMultiplier:
    """m0 * 2^(-31 - shift), with m0 in 2^30..2^31 - 1 and shift >= 0."""

    m0: int
    shift: int


def fixed_point_multiplier(multiplier: float) -> FixedPointMultiplier:
    """The nearest fixed-point number: relative error at most 2^-31. Raises MultiplierNotBelowOne."""
    if not 0.0 < multiplier < 1.0:
        raise MultiplierNotBelowOne(f"S1 * S2 / S3 = {multiplier:g} is not between 0 and 1.")
    fraction, exponent = math.frexp(multiplier)  # multiplier = fraction * 2^exponent, fraction in [0.5, 1)
    m0 = round(fraction * 2**31)
    if m0 == 2**31 and exponent < 0:
        return FixedPointMultiplier(2**30, -exponent - 1)
    # just below 1 there is no room to carry into: the largest number stands in, 2^-31 away
    return FixedPointMultiplier(min(m0, _INT32_MAX), -exponent)


def saturating_rounding_doubling_high_mul(a: Int32Array, b: int) -> Int32Array:
    """round(a * b / 2^31), ties towards plus infinity; saturated where a = b = -2^31, the one product that overflows.

    The vqrdmulh instruction of ARM NEON.
    """
    product = a.astype(np.int64) * b
    # half up by an arithmetic shift; the clamp is the saturation: 2^62 -> 2^31 - 1
    high: npt.NDArray[np.int64] = np.minimum((product + 2**30) >> 31, _INT32_MAX)
    return high.astype(np.int32)


def rounding_divide_by_power_of_two(x: Int32Array, exponent: int) -> Int32Array:
    """round(x / 2^exponent), ties away from zero. exponent: 0..31."""
    mask = (1 << exponent) - 1
    wide = x.astype(np.int64)
    remainder = wide & mask
    threshold = (mask >> 1) + (wide < 0)
    return ((wide >> exponent) + (remainder > threshold)).astype(np.int32)


def requantize(accumulator: Int32Array, multiplier: FixedPointMultiplier, output: QParams) -> IntArray:
    """q3 = clamp(Z3 + accumulator * M), in the output's integers; same shape.

    Error bound: 1/2 + 2^-(n+1) + 2^-31 |accumulator * M| codes before the clamp, since two roundings follow each other.
    """
    high = saturating_rounding_doubling_high_mul(accumulator, multiplier.m0)
    # what fits 31 bits is less than one half of 2^32
    scaled = rounding_divide_by_power_of_two(high, multiplier.shift) if multiplier.shift < 32 else np.zeros_like(high)
    codes = np.clip(scaled.astype(np.int64) + int(output.zero_point), output.scheme.q_min, output.scheme.q_max)
    return codes.astype(output.scheme.storage)


def integer_products(q1: IntArray, q2: IntArray, *, zero_1: int, zero_2: int) -> Int32Array:
    """sum_j (q1 - Z1)(q2 - Z2), [rows, depth] x [depth, columns] -> [rows, columns], in 32 bits.

    Zero points stay out of the inner loop, equations 7 and 8:
        depth Z1 Z2 - Z1 * (column sums of q2) - Z2 * (row sums of q1) + sum_j q1 q2
    """
    depth = q1.shape[1]
    wide_1, wide_2 = q1.astype(np.int32), q2.astype(np.int32)
    columns = wide_2.sum(axis=0, dtype=np.int32)[None, :]
    rows = wide_1.sum(axis=1, dtype=np.int32)[:, None]
    # single terms may wrap around; their total does not, and 32-bit addition is exact modulo 2^32
    total: Int32Array = wide_1 @ wide_2 - np.int32(zero_1) * columns - np.int32(zero_2) * rows
    return total + np.int32(depth * zero_1 * zero_2)


def integer_only_matmul(
    q1: IntArray, q2: IntArray, bias: Int32Array, *, x: QParams, w: QParams, y: QParams
) -> IntArray:
    """The codes of (x @ w + bias), from codes, by integers alone.

    q1: [rows, depth] in `x`; q2: [depth, columns] in `w`; bias: [columns], codes of scale S1 S2 and zero point 0;
    result: [rows, columns] in `y`. All three qparams are per tensor.
    Invariant: within one code of quantizing the float result. Raises AccumulatorOverflows, MultiplierNotBelowOne.
    """
    multiplier = fixed_point_multiplier(float(x.scale) * float(w.scale) / float(y.scale))
    _refuse_overflow(q1.shape[1], bias, x, w)
    products = integer_products(q1, q2, zero_1=int(x.zero_point), zero_2=int(w.zero_point))
    return requantize(products + bias, multiplier, y)


def _refuse_overflow(depth: int, bias: Int32Array, x: QParams, w: QParams) -> None:
    """Raise unless the largest sum that any codes can give fits 32 bits."""
    largest = depth * _reach(x) * _reach(w) + int(np.abs(bias.astype(np.int64)).max(initial=0))
    if largest > _INT32_MAX:
        sentence = f"{depth} products of at most {_reach(x)} * {_reach(w)}, with the bias, can reach {largest}"
        raise AccumulatorOverflows(f"{sentence}; 32 bits hold {_INT32_MAX}.")


def _reach(qparams: QParams) -> int:
    """The largest |q - Z|."""
    zero_point = int(qparams.zero_point)
    return max(zero_point - qparams.scheme.q_min, qparams.scheme.q_max - zero_point)
