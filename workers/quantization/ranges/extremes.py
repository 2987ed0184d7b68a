"""Ranges that keep every value that was seen."""

import numpy as np

from workers.quantization.observers import ChannelObserver, FloatBitsObserver, MovingAverageObserver
from workers.quantization.observers.channels import DoubleArray

Range = tuple[float, float]
"""(low, high) with low <= 0 <= high: zero must have a code. (0, 0) when nothing was seen."""


def min_max_range(observed: FloatBitsObserver | MovingAverageObserver) -> Range:
    """The extremes, exact (or as the moving average has them), widened to contain zero."""
    return min(observed.low, 0.0), max(observed.high, 0.0)


def channel_ranges(observed: ChannelObserver) -> tuple[DoubleArray, DoubleArray]:
    """The same for every channel: low and high, each [channels]."""
    return np.minimum(observed.low, 0.0), np.maximum(observed.high, 0.0)
