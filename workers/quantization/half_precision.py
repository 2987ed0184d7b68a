"""Constants in float16: 1 sign, 5 exponent and 10 fraction bits (IEEE 754 binary16), and what does not fit them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

LARGEST = 65504.0  # (2 - 2^-10) * 2^15
SMALLEST = 2.0**-24  # subnormal

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
