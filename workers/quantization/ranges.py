"""From statistics to the range that a tensor's codes should cover."""

import numpy as np

from workers.quantization.observers import FloatBitsObserver, ascending_buckets, bucket_edges

Range = tuple[float, float]


def percentile_range(observed: FloatBitsObserver, percentile: float) -> Range:
    """The central range that keeps at least `percentile` percent of the values, widened to contain zero.

    Both tails lose (100 - percentile) / 2 percent each. A tensor without negative values loses all at the top, one
    without positive values all at the bottom: the other end is zero already. 100 gives the exact extremes.
    Error bound: a cut lands on the outer edge of a bucket, and a bucket is the top 16 bits of a float32 (7 bits of
    mantissa): the edge exceeds the exact quantile by a relative 2^-7 at most, and never drops more than was asked for.
    """
    if observed.total == 0:
        return 0.0, 0.0
    if percentile >= 100.0:
        return min(observed.low, 0.0), max(observed.high, 0.0)
    cut = (100.0 - percentile) / 100.0
    one_sided = observed.low >= 0.0 or observed.high <= 0.0
    tail = cut if one_sided else cut / 2.0
    low = 0.0 if observed.low >= 0.0 else _lower_edge(observed, tail)
    high = 0.0 if observed.high <= 0.0 else _upper_edge(observed, tail)
    return min(low, 0.0), max(high, 0.0)


def _upper_edge(observed: FloatBitsObserver, tail: float) -> float:
    order = ascending_buckets()
    reached = np.cumsum(observed.counts[order])
    # the inverted CDF: the first bucket up to which (1 - tail) of all values lie
    bucket = order[np.searchsorted(reached, _rank(observed.total, 1.0 - tail))]
    return min(bucket_edges(int(bucket))[1], observed.high)


def _lower_edge(observed: FloatBitsObserver, tail: float) -> float:
    order = ascending_buckets()[::-1]
    reached = np.cumsum(observed.counts[order])
    bucket = order[np.searchsorted(reached, _rank(observed.total, 1.0 - tail))]
    return max(bucket_edges(int(bucket))[0], observed.low)


def _rank(total: int, share: float) -> int:
    """How many values have to lie inside: rounded up, and forgiving of the last bits of `share`."""
    return max(1, int(np.ceil(total * share - 1e-9 * total)))
