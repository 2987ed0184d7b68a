"""How far a quantized signal is from its original."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FLOOR_DB = -200.0


@dataclass
class SqnrAccumulator:
    """Signal-to-quantization-noise ratio over a stream: power sums in double precision, so that order hardly matters.

    Positions where the reference is not finite (a mask written into the output) have no defined error and are left out.
    """

    signal: float = 0.0
    noise: float = 0.0

    def observe(self, reference: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> None:
        expected = reference.astype(np.float64, copy=False)
        finite = np.isfinite(expected)
        expected, actual = expected[finite], other[finite].astype(np.float64, copy=False)
        self.signal += float(np.sum(np.square(expected)))
        self.noise += float(np.sum(np.square(actual - expected)))

    def db(self) -> float | None:
        """10 * log10(signal / noise); None when there is no noise at all. Non-finite noise gives -200."""
        if self.noise == 0.0:
            return None
        if not math.isfinite(self.noise) or self.signal == 0.0:
            return _FLOOR_DB
        return max(10.0 * math.log10(self.signal / self.noise), _FLOOR_DB)


def sqnr_db(reference: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float | None:
    """The ratio of one pair of arrays, in dB."""
    accumulator = SqnrAccumulator()
    accumulator.observe(reference, other)
    return accumulator.db()


def sqnr(signal: float, noise: float) -> float:
    """In dB, within -200..200."""
    tiny = np.finfo(np.float64).tiny
    return float(np.clip(10.0 * (np.log10(max(signal, tiny)) - np.log10(max(noise, tiny))), -200.0, 200.0))


def _power(values: npt.NDArray[np.float32]) -> float:
    """Of finite values: a mask written into the output has no error."""
    wide = values[np.isfinite(values)].astype(np.float64)
    return float(np.dot(wide, wide))
