"""How far a quantized signal is from its original."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MOST_DB = 200.0
"""More than float32 can show, in either direction."""


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
        if finite.all():  # nearly always, and a selection would copy both
            expected, selected = expected.ravel(), other.ravel()
        else:
            expected, selected = expected[finite], other[finite]
        actual = selected.astype(np.float64, copy=False)
        self.signal += float(np.sum(np.square(expected)))
        self.noise += float(np.sum(np.square(actual - expected)))

    def db(self) -> float | None:
        """`decibels`; None when there is no noise at all."""
        return None if self.noise == 0.0 else decibels(self.signal, self.noise)


def sqnr_db(reference: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float | None:
    """The ratio of one pair of arrays, in dB."""
    accumulator = SqnrAccumulator()
    accumulator.observe(reference, other)
    return accumulator.db()


def decibels(signal: float, noise: float) -> float:
    """10 * log10(signal / noise) of two powers, within -200..200.

    No noise gives 200, or 0 where there is no signal either; noise that is not finite gives -200.
    """
    if noise == 0.0:
        return _MOST_DB if signal > 0.0 else 0.0
    if not math.isfinite(noise) or signal == 0.0:
        return -_MOST_DB
    return min(max(10.0 * math.log10(signal / noise), -_MOST_DB), _MOST_DB)


def power(values: npt.NDArray[np.floating]) -> float:
    """Sum of squares of finite values: a mask written into the output has no error."""
    wide = values[np.isfinite(values)].astype(np.float64)
    return float(np.dot(wide, wide))
