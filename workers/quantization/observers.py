"""Statistics of a tensor that are gathered once and answer every later question about its range.

The histogram's bucket is the top 16 bits of the float32: sign, exponent and 7 bits of the mantissa. No range has to
be known beforehand, one outlier cannot blow it up, and merging two histograms is addition. So the result does not
depend on how the data was cut into batches, or in which order they came.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

BUCKETS = 1 << 16
HUGE = 1e30
"""Values beyond are attention masks (-3.4e38) or mistakes; they are counted, and kept out of every range."""

_FIRST_NONFINITE = 0x7F80  # an exponent of all ones, positive; +0x8000 is its negative twin
_CHUNK = 1 << 20  # elements at a time: bincount needs 8 bytes for each


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

    def observe(self, values: npt.NDArray[np.float32]) -> None:
        """Fold a tensor of any shape into the statistics."""
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

    def _observe_chunk(self, chunk: npt.NDArray[np.float32]) -> None:
        low, high = float(chunk.min()), float(chunk.max())
        if not (low >= -HUGE and high <= HUGE):  # also true for NaN
            chunk = self._set_apart(chunk)
            if not chunk.size:
                return
            low, high = float(chunk.min()), float(chunk.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.counts += np.bincount(chunk.view(np.uint32) >> 16, minlength=BUCKETS)

    def _set_apart(self, chunk: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        finite = np.isfinite(chunk)
        usable = finite & (np.abs(chunk) <= HUGE)
        self.nonfinite += int(chunk.size - finite.sum())
        self.huge += int(finite.sum() - usable.sum())
        return chunk[usable]


def ascending_buckets() -> npt.NDArray[np.int64]:
    """All buckets of finite values in the order of the values they hold: most negative first, -0 before +0."""
    negative = np.arange(0x8000 + _FIRST_NONFINITE - 1, 0x8000 - 1, -1)
    positive = np.arange(0, _FIRST_NONFINITE)
    return np.concatenate([negative, positive])


def bucket_edges(bucket: int) -> tuple[float, float]:
    """The (smallest, largest) value of a bucket. Their magnitudes differ by a factor of at most 1 + 2^-7."""
    first, last = np.array([bucket << 16, (bucket << 16) | 0xFFFF], np.uint32).view(np.float32).tolist()
    return min(first, last), max(first, last)
