"""Statistics as named arrays, and back. The arrays that come back may have been written by anybody.

Every observer has two methods for it. `to_arrays` gives all that it has gathered, without loss; `filled` gives an
observer of the same kind and size that has gathered what the arrays say. Sizes that follow from the model alone are
not stored: the observer that is to be filled knows them, and refuses arrays that differ.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.generic]]

DoubleArray = npt.NDArray[np.float64]
IntegerArray = npt.NDArray[np.int64]


class StoredStatisticsInvalid(ValueError):
    """The arrays are not what an observer of this kind and size would have written."""


def doubles(arrays: Arrays, name: str, shape: tuple[int, ...]) -> DoubleArray:
    """Finite float64 values. Raises StoredStatisticsInvalid."""
    found = _array(arrays, name, np.dtype(np.float64), shape).astype(np.float64, copy=False)
    if not np.isfinite(found).all():
        raise StoredStatisticsInvalid(f"{name} holds NaN or infinite values")
    return found


def tally(arrays: Arrays, name: str, shape: tuple[int, ...]) -> IntegerArray:
    """An array of counts. Raises StoredStatisticsInvalid."""
    found = _array(arrays, name, np.dtype(np.int64), shape).astype(np.int64, copy=False)
    if (found < 0).any():
        raise StoredStatisticsInvalid(f"{name} holds counts below zero")
    return found


def extremes(arrays: Arrays, name: str, seen: npt.NDArray[np.bool_]) -> DoubleArray:
    """[2, ..]: smallest and largest values; +inf and -inf where nothing was seen. Raises StoredStatisticsInvalid."""
    found = _array(arrays, name, np.dtype(np.float64), (2, *seen.shape)).astype(np.float64, copy=False)
    low, high = found[0], found[1]
    finite = np.isfinite(low) & np.isfinite(high)
    if not np.where(seen, finite & (low <= high), (low == np.inf) & (high == -np.inf)).all():
        raise StoredStatisticsInvalid(f"{name} are not a smallest and a largest value")
    return found


def only(arrays: Arrays, *names: str) -> None:
    """Raises StoredStatisticsInvalid when there is any other array, or one of these is missing."""
    if set(arrays) != set(names):
        raise StoredStatisticsInvalid(f"arrays {sorted(arrays)} should be {sorted(names)}")


def _array(arrays: Arrays, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    found = arrays[name]
    if found.dtype != dtype or found.shape != shape:
        raise StoredStatisticsInvalid(f"{name} is {found.dtype}{list(found.shape)}, not {dtype}{list(shape)}")
    return found
