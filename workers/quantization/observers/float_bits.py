"""Statistics of a tensor that are gathered once and answer every later question about its range.

The histogram's bucket is the top 16 bits of the float32: sign, exponent and 7 bits of the mantissa. No range has to
be known beforehand, one outlier cannot blow it up, and merging two histograms is addition. So the result does not
depend on how the data was cut into batches, or in which order they came.
"""

import sys
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.quantization.observers.buckets import BUCKETS, FIRST_NEGATIVE, bucket_of
from workers.quantization.observers.stored import Arrays, StoredStatisticsInvalid, extremes, only, tally
from workers.quantization.observers.usable import HUGE, set_apart

_CHUNK = 1 << 19
"""Elements at a time. bincount takes 8 bytes for each and 512 KiB for its result: half as many, and clearing the result
costs more than it counts; twice as many, and the copy leaves the cache."""

_TOP_HALF = 1 if sys.byteorder == "little" else 0


@dataclass
class FloatBitsObserver:
    """Streaming statistics of one float32 tensor: 512 KiB, whatever it has seen.

    Invariant: for any split of the data, in any order, the merged statistics are equal to the last bit.
    """

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BUCKETS, np.int64))
    low: float = np.inf
    """Exact smallest value that is finite and not huge; +inf before the first."""
    high: float = -np.inf
    nonfinite: int = 0
    huge: int = 0

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def observe(self, values: npt.ArrayLike) -> None:
        """Fold a tensor of any shape into the statistics. What a float32 cannot hold counts as infinite."""
        with np.errstate(over="ignore"):
            flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            self._observe_chunk(flat[start : start + _CHUNK])

    def __add__(self, other: Self) -> Self:
        return type(self)(
            counts=self.counts + other.counts,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            nonfinite=self.nonfinite + other.nonfinite,
            huge=self.huge + other.huge,
        )

    def to_arrays(self) -> Arrays:
        """Only the buckets that hold something: a few thousand of 65,536 as a rule."""
        filled = np.flatnonzero(self.counts)
        return {
            "buckets": filled.astype(np.uint16),
            "counts": self.counts[filled],
            "extremes": np.array([self.low, self.high]),
            "set_apart": np.array([self.nonfinite, self.huge], np.int64),
        }

    def filled(self, arrays: Arrays) -> Self:
        """Raises StoredStatisticsInvalid."""
        only(arrays, "buckets", "counts", "extremes", "set_apart")
        buckets = arrays["buckets"]
        if buckets.dtype != np.uint16 or buckets.ndim != 1 or not (np.diff(buckets.astype(np.int64)) > 0).all():
            raise StoredStatisticsInvalid("buckets do not ascend")
        counts = np.zeros(BUCKETS, np.int64)
        counts[buckets] = tally(arrays, "counts", buckets.shape)
        low, high = extremes(arrays, "extremes", np.asarray(counts.any())).tolist()
        nonfinite, huge = tally(arrays, "set_apart", (2,)).tolist()
        return type(self)(counts, low, high, nonfinite, huge)

    def _observe_chunk(self, chunk: npt.NDArray[np.float32]) -> None:
        counts = _count(chunk)
        if any(_reached(counts, bottom=-HUGE, top=HUGE)):
            usable, nonfinite, huge = set_apart(chunk)
            self.nonfinite += nonfinite
            self.huge += huge
            chunk = chunk[usable]
            counts = _count(chunk)
        if chunk.size:
            self.counts += counts
            self._widen(chunk, counts)

    def _widen(self, chunk: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]) -> None:
        """Move the extremes. Where the buckets say that an end stays where it is, a pass over the values is saved."""
        spans_zero = self.low <= 0.0 <= self.high
        lower, higher = _reached(counts, bottom=self.low, top=self.high) if spans_zero else (True, True)
        # adding 0 takes the sign from -0: which zero comes first must not show
        if lower:
            self.low = min(self.low, float(chunk.min()) + 0.0)
        if higher:
            self.high = max(self.high, float(chunk.max()) + 0.0)


def _count(chunk: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    # the strided view is widened inside bincount: one pass less than shifting first
    return np.bincount(chunk.view(np.uint16)[_TOP_HALF::2], minlength=BUCKETS)


def _reached(counts: npt.NDArray[np.int64], *, bottom: float, top: float) -> tuple[bool, bool]:
    """Whether the bucket of `bottom` <= 0, or one below, holds a value; and that of `top` >= 0, or one above."""
    below, above = bucket_of(bottom) | FIRST_NEGATIVE, bucket_of(top)  # downwards, 0 stands for -0
    return bool(counts[below:].any()), bool(counts[above:FIRST_NEGATIVE].any())
