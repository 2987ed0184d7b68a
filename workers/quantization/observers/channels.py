"""Extremes and moments of every channel: for SmoothQuant, equalization, bias correction and ranges per channel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.quantization.observers.stored import Arrays, doubles, extremes, only, tally
from workers.quantization.observers.usable import are_usable, set_apart

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]

_BLOCK = 1 << 18
"""Values that are widened to float64 at a time: 2 MiB."""


class ChannelsDiffer(ValueError):
    """A tensor has another number of channels than the statistics, or they lie along another axis."""


@dataclass
class ChannelObserver:
    """Streaming statistics along one axis of a float32 tensor, each [channels].

    Invariant: counts and extremes are exact, and equal for any split and order of the data. The sums are float64 and
    equal up to the rounding of their additions: within n * 2^-53 of the sum of the n magnitudes.
    NaN, infinite and huge values are counted and enter nothing else.
    """

    axis: int
    counts: npt.NDArray[np.int64]
    """Values that entered the statistics."""
    low: DoubleArray
    """Exact smallest value; +inf where there is none."""
    high: DoubleArray
    sums: DoubleArray
    sums_of_squares: DoubleArray
    nonfinite: int = 0
    huge: int = 0

    @classmethod
    def of(cls, channels: int, *, axis: int = -1) -> Self:
        """Nothing seen yet."""
        nothing = np.zeros(channels, np.int64)
        limits = np.full(channels, np.inf), np.full(channels, -np.inf)
        return cls(axis, nothing, *limits, np.zeros(channels), np.zeros(channels))

    @property
    def mean(self) -> DoubleArray:
        """0 where nothing was seen, like `mean_square` and `variance`."""
        return self.sums / np.maximum(self.counts, 1)

    @property
    def mean_square(self) -> DoubleArray:
        return self.sums_of_squares / np.maximum(self.counts, 1)

    @property
    def variance(self) -> DoubleArray:
        """E[x^2] - E[x]^2. Its digits are lost where the mean is 2^26 standard deviations or more."""
        return np.maximum(self.mean_square - self.mean**2, 0.0)

    def observe(self, values: npt.ArrayLike) -> None:
        """Fold a tensor into the statistics; all extents but the channels may change from call to call.

        Raises ChannelsDiffer.
        """
        with np.errstate(over="ignore"):  # what a float32 cannot hold counts as infinite
            tensor = np.asarray(values, np.float32)
        if tensor.shape[self.axis] != len(self.counts):
            raise ChannelsDiffer(f"axis {self.axis} of {tensor.shape} should have {len(self.counts)} channels")
        for block in _blocks(tensor, self.axis):
            self._observe_block(block)

    def __add__(self, other: Self) -> Self:
        if (self.axis, len(self.counts)) != (other.axis, len(other.counts)):
            raise ChannelsDiffer(
                f"{len(self.counts)} channels on axis {self.axis} and {len(other.counts)} on axis {other.axis}"
            )
        return type(self)(
            axis=self.axis,
            counts=self.counts + other.counts,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            sums=self.sums + other.sums,
            sums_of_squares=self.sums_of_squares + other.sums_of_squares,
            nonfinite=self.nonfinite + other.nonfinite,
            huge=self.huge + other.huge,
        )

    def to_arrays(self) -> Arrays:
        return {
            "counts": self.counts,
            "extremes": np.stack([self.low, self.high]),
            "sums": np.stack([self.sums, self.sums_of_squares]),
            "set_apart": np.array([self.nonfinite, self.huge], np.int64),
        }

    def filled(self, arrays: Arrays) -> Self:
        """Raises StoredStatisticsInvalid."""
        only(arrays, "counts", "extremes", "sums", "set_apart")
        counts = tally(arrays, "counts", self.counts.shape)
        low, high = extremes(arrays, "extremes", counts > 0)
        sums, sums_of_squares = doubles(arrays, "sums", (2, *self.counts.shape))
        nonfinite, huge = tally(arrays, "set_apart", (2,)).tolist()
        return type(self)(self.axis, counts, low, high, sums, sums_of_squares, nonfinite, huge)

    def _observe_block(self, block: FloatArray) -> None:
        low, high = block.min(axis=(0, 2)), block.max(axis=(0, 2))
        if are_usable(float(low.min()), float(high.max())):
            self.counts += block.shape[0] * block.shape[2]
        else:
            usable, nonfinite, huge = set_apart(block)
            self.nonfinite += nonfinite
            self.huge += huge
            self.counts += usable.sum(axis=(0, 2))
            low = block.min(axis=(0, 2), where=usable, initial=np.inf)
            high = block.max(axis=(0, 2), where=usable, initial=-np.inf)
            block = np.where(usable, block, np.float32(0.0))
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)
        wide = block.astype(np.float64)
        self.sums += wide.sum(axis=(0, 2))
        self.sums_of_squares += np.einsum("oci,oci->c", wide, wide)


def _blocks(tensor: FloatArray, axis: int) -> Iterator[FloatArray]:
    """Pieces of about _BLOCK values, each [outer, channels, inner]; none when the tensor is empty."""
    if not tensor.size:
        return
    place = axis % tensor.ndim
    # [.., channels, ..] -> [outer, channels, inner]
    folded = tensor.reshape(int(np.prod(tensor.shape[:place])), tensor.shape[place], -1)
    outer, channels, inner = folded.shape
    columns = min(inner, max(1, _BLOCK // channels))
    rows = max(1, _BLOCK // (channels * columns))
    for top in range(0, outer, rows):
        for left in range(0, inner, columns):
            yield folded[top : top + rows, :, left : left + columns]
