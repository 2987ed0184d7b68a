"""Constants in float16: 1 sign, 5 exponent and 10 fraction bits (IEEE 754 binary16), and what does not fit them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

LARGEST = 65504.0  # (2 - 2^-10) * 2^15
SMALLEST = 2.0**-24  # subnormal
SMALLEST_NORMAL = 2.0**-14  # below, numbers stand 2^-24 apart and lose bits

TOLERANCE = 2.0**-9
"""Relative error that a constant may take. What bfloat16 does to every number, and networks bear it. 1e-5, the usual
epsilon, is rounded by 0.14 % and passes; 1e-6 is rounded by 1.3 %, 3e-8 to twice its value."""

_SENTENCES = {
    "clamped": "beyond 65504, clamped to it",
    "flushed_to_zero": "nearer to zero than to 2^-24, now zero",
    "raised": "nearer to zero than to 2^-24, raised to it",
}


@dataclass(frozen=True)
class Misfit:
    """Values of a constant that float16 cannot hold."""

    reason: Literal["clamped", "flushed_to_zero", "raised"]
    values: int

    def __str__(self) -> str:
        return f"{self.values} {_SENTENCES[self.reason]}"


def to_float16(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float16], tuple[Misfit, ...]]:
    """The nearest float16 numbers, ties to even, same shape, and how many did not fit.

    clamped:         finite beyond +-65504; it becomes +-65504, since infinity would make NaN of 0 * x and x - x.
    flushed_to_zero: not zero, but nearer to it than to 2^-24.
    raised:          the same, but the only value of its tensor; it becomes +-2^-24. Such a constant is the epsilon
                     that keeps a division or a logarithm from zero.
    Infinity and NaN stay what they are. Error bound for values that fit: 2^-11 relative, or 2^-25.
    """
    too_large = np.isfinite(x) & (np.abs(x) > LARGEST)
    half = np.where(too_large, np.copysign(np.float32(LARGEST), x), x).astype(np.float16)
    vanished = (half == 0.0) & (x != 0.0)
    misfits = [Misfit("clamped", int(too_large.sum()))] if too_large.any() else []
    if vanished.any() and x.size == 1:
        half = np.copysign(np.float16(SMALLEST), half)
        misfits.append(Misfit("raised", 1))
    elif vanished.any():
        misfits.append(Misfit("flushed_to_zero", int(vanished.sum())))
    return np.asarray(half, np.float16), tuple(misfits)


def largest_magnitude(x: npt.NDArray[np.float32]) -> float:
    """Of the finite values, 0 if there are none."""
    if x.size == 0:
        return 0.0
    largest = max(float(x.max()), -float(x.min()))  # without a copy as large as the weights
    if np.isfinite(largest):
        return largest
    finite = x[np.isfinite(x)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def is_too_large(largest: float) -> bool:
    """Clamping would change more than rounding does: 65535 is rounded by 2^-11, as any number may be."""
    return largest > LARGEST * (1 + 2.0**-11)


def is_too_small(x: npt.NDArray[np.float32], largest: float) -> bool:
    """Rounding errs by more than `TOLERANCE` of the tensor's largest magnitude.

    A few values near zero among others are no loss: what they add to a sum is as small as the rounding of the others.
    """
    if largest == 0.0 or largest >= SMALLEST_NORMAL:
        return False
    return bool(np.nanmax(_errors(x)) > TOLERANCE * largest)


def is_too_small_anywhere(x: npt.NDArray[np.float32]) -> bool:
    """The same, with each value for itself: where one divides, the others do not make up for it."""
    return bool((_errors(x) > TOLERANCE * np.abs(x)).any())


def _errors(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of values that are not too large."""
    small = np.where(np.abs(x) < 1.0, x, np.float32(0))
    return np.abs(small.astype(np.float16).astype(np.float32) - small)
