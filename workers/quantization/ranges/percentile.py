"""Ranges that give up a share of the values at the tails."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workers.quantization.observers import FloatBitsObserver, ascending_buckets, bucket_edges
from workers.quantization.ranges.extremes import Range, min_max_range


def percentile_range(observed: FloatBitsObserver, percentile: float) -> Range:
    """The central range that keeps at least `percentile` percent of the values, widened to contain zero.

    Both tails lose (100 - percentile) / 2 percent each. A tensor without negative values loses all at the top, one
    without positive values all at the bottom: the other end is zero already. 100 gives the exact extremes.
    Error bound: a cut lands on the outer edge of a bucket, and a bucket is the top 16 bits of a float32 (7 bits of
    mantissa): the edge exceeds the exact quantile by a relative 2^-7 at most, and never drops more than was asked for.
    """
    return percentile_ranges(observed, [percentile])[0]


def percentile_ranges(observed: FloatBitsObserver, percentiles: Sequence[float]) -> list[Range]:
    """`percentile_range` for each of a list; the statistics are summed up once."""
    upwards = observed.counts[ascending_buckets()]
    from_below, from_above = np.cumsum(upwards), np.cumsum(upwards[::-1])
    return [_range(observed, from_below, from_above, percentile) for percentile in percentiles]


def _range(
    observed: FloatBitsObserver, from_below: npt.NDArray[np.int64], from_above: npt.NDArray[np.int64], percentile: float
) -> Range:
    total = int(from_below[-1])
    if total == 0 or percentile >= 100.0:
        return min_max_range(observed)
    cut = (100.0 - percentile) / 100.0
    one_sided = observed.low >= 0.0 or observed.high <= 0.0
    kept = _rank(total, 1.0 - (cut if one_sided else cut / 2.0))
    # the inverted CDF: the first bucket up to which so many of the values lie
    top = ascending_buckets()[np.searchsorted(from_below, kept)]
    bottom = ascending_buckets()[::-1][np.searchsorted(from_above, kept)]
    low = 0.0 if observed.low >= 0.0 else max(bucket_edges(int(bottom))[0], observed.low)
    high = 0.0 if observed.high <= 0.0 else min(bucket_edges(int(top))[1], observed.high)
    return min(low, 0.0), max(high, 0.0)


def _rank(total: int, share: float) -> int:
    """How many values have to lie inside: rounded up, and forgiving of the last bits of `share`."""
    return max(1, int(np.ceil(total * share - 1e-9 * total)))
