"""What sets a float32 value apart from an activation of ordinary size."""

from dataclasses import dataclass
from math import inf, log2

import numpy as np
import numpy.typing as npt

from workers.quantization.half.constants import LARGEST, TOLERANCE, is_too_large, is_too_small, largest_magnitude
from workers.quantization.half.constants import is_too_small_anywhere as any_is_too_small

LOWEST, HIGHEST = -14.0, 12.0
"""log2 of the magnitudes that float16 is good for: its normal numbers, with room for 16 times more above."""


@dataclass(frozen=True)
class Size:
    exponent: float = 0.0
    """log2 of the magnitude that constants give it; activations count as 1, zeros as -inf."""
    delicate: bool = False
    """Float16 would round it to zero, or let it overflow, before it is divided or divides."""
    count: bool = False
    """Computed from integers and constants."""
    tame: bool = False
    """A count of which a root or a logarithm was taken: never beyond 65504."""
    fixed: bool = False
    """Computed from constants alone."""
    vanishes: bool = False
    """Fixed, and so near to zero that float16 loses it."""

    @property
    def is_wide(self) -> bool:
        return self.exponent > HIGHEST or -inf < self.exponent < LOWEST

    @property
    def is_data(self) -> bool:
        return not (self.count or self.fixed or self.delicate)


ORDINARY = Size()


def size_of_constant(x: npt.NDArray[np.float32]) -> Size:
    largest = largest_magnitude(x)
    return Size(exponent=log2(largest) if largest else -inf, fixed=True, vanishes=is_too_small(x, largest))


def misfit(subject: str, x: npt.NDArray[np.float32], *, divides: bool = False) -> str | None:
    """Why float16 does not hold a constant well enough, as a sentence that starts with `subject`; None if it does.

    One that divides has to be right in each value, as nothing makes up for a division by zero.
    """
    largest = largest_magnitude(x)
    if is_too_large(largest):
        return f"{subject} values up to {largest:.3g}; float16 ends at {LARGEST:.0f}."
    if is_too_small(x, largest) or (divides and any_is_too_small(x)):
        return f"{subject} values so near to zero that float16 would change them by more than {TOLERANCE:.1%}."
    return None
