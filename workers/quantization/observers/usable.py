"""Which values may enter statistics: those that are finite and not huge."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

HUGE = float(np.float32(1e30))
"""Values beyond are attention masks (-3.4e38) or mistakes; they are counted, and kept out of every range."""


class SetApart(NamedTuple):
    usable: npt.NDArray[np.bool_]
    """True where a value may be used; the shape of the values."""
    nonfinite: int
    huge: int


def are_usable(low: float, high: float) -> bool:
    """Whether all values are, given their smallest and largest; NaN in either says no."""
    return low >= -HUGE and high <= HUGE


def set_apart(values: npt.NDArray[np.float32]) -> SetApart:
    finite = np.isfinite(values)
    usable = finite & (np.abs(values) <= HUGE)
    return SetApart(usable, int(values.size - finite.sum()), int(finite.sum() - usable.sum()))
