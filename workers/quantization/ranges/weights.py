"""Ranges of a weight: its values are at hand, so the error of each candidate is measured, not expected."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray, choose_qparams, fake_quantize
from workers.quantization.ranges.density import DoubleArray
from workers.quantization.scheme import Scheme

SHARES = np.linspace(1.0, 0.4, 61)
"""Shares of the extremes that are tried, 1 % apart. At 8 bits the best is rarely below 0.8, at 4 bits near 0.6."""

_BLOCK = 1 << 17
"""Values that are tried at a time: they and their codes stay in the cache over all candidates."""


def weight_mse_ranges(weight: FloatArray, scheme: Scheme, *, axis: int) -> tuple[DoubleArray, DoubleArray]:
    """The range of each channel, among SHARES of its extremes, whose fake quantization moves the weight least.

    Shapes: weight [.., channels, ..] with the channels on `axis`; low and high [channels], low <= 0 <= high.
    For groups, hand over the weight folded so that each group is a channel.
    Invariant: a channel's squared error is never above that of its extremes. The first of equal shares wins.
    """
    channels = weight.shape[axis]
    # [.., channels, ..] -> [channels, values]
    per_row = replace(scheme, granularity="per_axis", group_size=None)
    rows = np.moveaxis(weight, axis, 0).reshape(channels, weight.size // max(channels, 1))
    many = max(1, _BLOCK // max(rows.shape[1], 1))
    shares = [_best_shares(rows[start : start + many], per_row) for start in range(0, channels, many)]
    best = np.concatenate(shares) if shares else np.zeros(0)
    return rows.min(axis=1, initial=0.0) * best, rows.max(axis=1, initial=0.0) * best


def _best_shares(rows: FloatArray, scheme: Scheme) -> DoubleArray:
    low, high = rows.min(axis=1, initial=0.0), rows.max(axis=1, initial=0.0)
    errors = np.stack([_square_errors(rows, low * share, high * share, scheme) for share in SHARES])
    return np.asarray(SHARES[errors.argmin(axis=0)])


def _square_errors(rows: FloatArray, low: npt.ArrayLike, high: npt.ArrayLike, scheme: Scheme) -> DoubleArray:
    moved = rows - fake_quantize(rows, choose_qparams(low, high, scheme, axis=0))
    return np.asarray(np.einsum("cv,cv->c", moved, moved, dtype=np.float64))
