"""The statistics as a density: values evenly spread within each bucket, none beyond the exact extremes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.quantization.observers import FloatBitsObserver, ascending_buckets, ascending_edges

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Density:
    """Pieces of the number line, ascending, each [pieces]; `counts` values lie evenly between `starts` and `stops`.

    A piece lies within one bucket, so a value is misplaced by a relative 2^-7 at most. A piece may have no width: the
    values of an outermost bucket may all be equal.
    """

    starts: DoubleArray
    stops: DoubleArray
    counts: DoubleArray

    def where(self, chosen: npt.NDArray[np.bool_]) -> Self:
        return type(self)(self.starts[chosen], self.stops[chosen], self.counts[chosen])

    def mirrored(self) -> Self:
        """The density of -x."""
        return type(self)(-self.stops[::-1], -self.starts[::-1], self.counts[::-1])


def density_of(observed: FloatBitsObserver) -> Density:
    """The buckets that hold anything; those of the extremes end there."""
    counts = observed.counts[ascending_buckets()]
    (used,) = np.nonzero(counts)
    starts, stops = (np.clip(ascending_edges()[i], observed.low, observed.high) for i in (used, used + 1))
    return Density(starts, stops, counts[used].astype(np.float64))
