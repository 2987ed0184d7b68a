"""Answers of two graphs to one batch, held against each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Answers = Mapping[str, Any]
"""By output: arrays, or what a sequence or an optional output holds."""

EQUAL = 1e-5
"""Noise of a graph that claims to compute the same, relative to its signal: rounding in float32, and room."""

_EQUAL_INTEGERS = 0.01
"""Share of integers that may differ: where two values are as good as equal, rounding decides which is larger."""


@dataclass(frozen=True)
class Deviation:
    """By how much one output differs, as a share of its signal (of its values, for integers)."""

    output: str
    share: float
    is_integer: bool = False

    def __str__(self) -> str:
        if not np.isfinite(self.share):
            return f"output {self.output} has another shape, another type or values that are not finite"
        what = "of its values" if self.is_integer else "of its signal"
        return f"output {self.output} differs by {self.share:.1e} {what}"


def deviations(expected: Answers, actual: Answers) -> dict[str, Deviation]:
    """By output, for those that are arrays of numbers."""
    return {
        name: _deviation(name, array, actual.get(name))
        for name, array in expected.items()
        if isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
    }


def beyond(found: Mapping[str, Deviation], floor: Mapping[str, Deviation] | None = None) -> Deviation | None:
    """The largest one that rounding does not explain. floor: what the runtime's own optimizations change."""
    rest = [d for d in found.values() if d.share > _allowed(d, floor)]
    return max(rest, key=lambda d: d.share, default=None)


def _allowed(one: Deviation, floor: Mapping[str, Deviation] | None) -> float:
    least = _EQUAL_INTEGERS if one.is_integer else EQUAL
    known = None if floor is None else floor.get(one.output)
    return least if known is None else max(least, 10.0 * known.share)


def _deviation(name: str, expected: npt.NDArray[Any], actual: object) -> Deviation:
    if not isinstance(actual, np.ndarray) or actual.shape != expected.shape or actual.dtype != expected.dtype:
        return Deviation(name, float("inf"))
    if expected.dtype.kind != "f":
        differing = np.count_nonzero(expected != actual)
        return Deviation(name, differing / max(1, expected.size), is_integer=True)
    return Deviation(name, noise_share(expected, actual))


def noise_share(expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> float:
    """sqrt(noise / signal) over what is finite; infinite where only one of both is."""
    one, other = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(other[finite]).all():
        return float("inf")
    noise = float(np.sum(np.square(one[finite] - other[finite])))
    signal = float(np.sum(np.square(one[finite])))
    return 0.0 if noise == 0.0 else float(np.sqrt(noise / signal)) if signal > 0.0 else float("inf")
