"""The range whose rounding and clipping together lose the least: the expected squared error of fake quantization.

A value u in units of the scale becomes n = clamp(round(u), q_min - zero_point, q_max - zero_point). Its squared error
(u - n)^2 has the antiderivative

    F(u) = n / 12 + (u - n)^3 / 3

a twelfth for every whole step on the way from zero, and what is left of the last one, which is also the clipped part.
So the error of values that lie evenly between a and b is scale^3 (F(b / scale) - F(a / scale)) / (b - a), with no
sampling and no centres of bins.
"""

import numpy as np

from workers.quantization.affine import choose_qparams
from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges.density import Density, DoubleArray, density_of
from workers.quantization.ranges.extremes import Range, min_max_range
from workers.quantization.scheme import Scheme

CLIPS = 2.0 ** -np.linspace(0.0, 6.0, 121)
"""Clip values that are tried, as shares of the extremes: 1 down to 1/64 in steps of 3.5 %.

Around its minimum the error is flat: half a step aside costs well under 1 % of it."""

_NARROWEST = 2.0**-20
"""Relative width given to values that are all equal, so that they have a density."""


def mse_range(observed: FloatBitsObserver, scheme: Scheme) -> Range:
    """The range among CLIPS with the least expected squared error under `scheme`, within the extremes.

    First both ends are clipped at one magnitude. An asymmetric scheme then tries all clips of the upper end, and then
    of the lower one: the ends are nearly independent, for they meet only in the scale.
    Error bound: that of the density: values are taken as evenly spread within buckets of a relative 2^-7.
    """
    density, (low, high) = density_of(observed), min_max_range(observed)
    clips = max(-low, high) * CLIPS
    best = _least(density, np.maximum(low, -clips), np.minimum(high, clips), scheme)
    if scheme.symmetric or low == 0.0 or high == 0.0:
        return best
    highs = np.append(best[1], high * CLIPS)
    best = _least(density, np.full_like(highs, best[0]), highs, scheme)
    lows = np.append(best[0], low * CLIPS)
    return _least(density, lows, np.full_like(lows, best[1]), scheme)


def expected_square_errors(density: Density, lows: DoubleArray, highs: DoubleArray, scheme: Scheme) -> DoubleArray:
    """The mean squared error of fake quantization for each of the ranges: [ranges], in squared units of the tensor.

    0 for a density of nothing.
    """
    qparams = choose_qparams(lows, highs, scheme, axis=0)
    scales = qparams.scale.astype(np.float64)
    always_zero = np.maximum(-density.starts, density.stops) < scales.min() / 2.0  # whichever range is chosen
    edges, falls = _falls(density.where(~always_zero))
    lost = np.full(len(scales), _square_integral(density.where(always_zero)))
    for index, (scale, zero_point) in enumerate(zip(scales, qparams.zero_point, strict=True)):
        integral = _antiderivative(edges / scale, scheme.q_min - int(zero_point), scheme.q_max - int(zero_point))
        lost[index] += scale**3 * (integral @ falls)
    return lost / max(float(density.counts.sum()), 1.0)


def _antiderivative(steps: DoubleArray, bottom: int, top: int) -> DoubleArray:
    """F at each of `steps`, with the codes that are left for them, less the zero point, in bottom..top."""
    codes = np.rint(steps)
    np.clip(codes, bottom, top, out=codes)
    moved = steps - codes
    return codes / 12.0 + moved * moved * moved / 3.0  # a power of 3 would take 20 times as long


def _least(density: Density, lows: DoubleArray, highs: DoubleArray, scheme: Scheme) -> Range:
    best = int(np.argmin(expected_square_errors(density, lows, highs, scheme)))
    return float(lows[best]), float(highs[best])


def _square_integral(density: Density) -> float:
    """The sum of x^2 over all values."""
    a, b = density.starts, density.stops
    return float(density.counts @ (a * a + a * b + b * b)) / 3.0


def _falls(density: Density) -> tuple[DoubleArray, DoubleArray]:
    """The edges of all pieces, and by how much the density falls at each: the sum over pieces is sum F(edge) * fall."""
    widths = np.maximum(density.stops - density.starts, np.abs(density.starts) * _NARROWEST)
    heights = density.counts / widths
    both = np.concatenate([density.starts, density.starts + widths])
    edges, places = np.unique(both, return_inverse=True)
    falls = np.bincount(places, np.concatenate([-heights, heights]))
    return edges, np.asarray(falls, np.float64)
