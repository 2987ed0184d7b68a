"""The buckets of a float-bits histogram: one for each value of the top 16 bits of a float32."""

from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

BUCKETS = 1 << 16

_T = TypeVar("_T", bound=np.generic)

FIRST_NEGATIVE = 0x8000
"""The bucket of -0. Those of negative values follow it, away from zero, as those of positive ones follow 0."""

_FIRST_NONFINITE = 0x7F80  # an exponent of all ones, positive


@cache
def ascending_buckets() -> npt.NDArray[np.int64]:
    """All buckets of finite values in the order of the values they hold: most negative first, -0 before +0."""
    negative = np.arange(FIRST_NEGATIVE + _FIRST_NONFINITE - 1, FIRST_NEGATIVE - 1, -1)
    positive = np.arange(0, _FIRST_NONFINITE)
    return _frozen(np.concatenate([negative, positive]))


@cache
def ascending_edges() -> npt.NDArray[np.float64]:
    """Where one bucket ends and the next begins, in the order of `ascending_buckets`; one more than there are buckets.

    float64, so that the end of the last bucket, 2^128, is a number. Bucket i owns the one of edges[i] and
    edges[i + 1] that is nearer to zero.
    """
    bits = np.arange(_FIRST_NONFINITE, dtype=np.uint32) << 16
    magnitudes = np.append(bits.view(np.float32).astype(np.float64), 2.0**128)
    return _frozen(np.concatenate([-magnitudes[:0:-1], magnitudes]))


def bucket_of(value: float) -> int:
    """The bucket that holds a value of float32."""
    return int(np.float32(value).view(np.uint32)) >> 16


def bucket_edges(bucket: int) -> tuple[float, float]:
    """The (smallest, largest) value of a bucket. Their magnitudes differ by a factor of at most 1 + 2^-7."""
    first, last = np.array([bucket << 16, (bucket << 16) | 0xFFFF], np.uint32).view(np.float32).tolist()
    return min(first, last), max(first, last)


def _frozen(table: npt.NDArray[_T]) -> npt.NDArray[_T]:
    table.flags.writeable = False  # one table for all callers
    return table
