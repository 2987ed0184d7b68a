"""How the inputs of a layer vary together: X^T X over all rows that it multiplies. Half of GPTQ's Hessian."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.quantization.observers.stored import Arrays, doubles, only, tally
from workers.quantization.observers.usable import are_usable

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]

_BLOCK_ROWS = 1024
"""Rows that are multiplied in float32 before their sum is added in float64: the addition is 1/1024 of the work."""

_SQUARES_SAFELY = (1e-15, 1e15)
"""Magnitudes whose squares, and sums of 1024 of them, neither overflow a float32 nor vanish in it."""


class ColumnsDiffer(ValueError):
    """The rows have another number of groups or columns than the statistics."""


@dataclass
class SecondMomentObserver:
    """Streaming sum of x x^T over rows x, one matrix per group: memory is groups * K^2 * 8 bytes, whatever it has seen.

    Invariant: equal for any split and order of the rows up to rounding, which is 1024 * 2^-24 of the sum of magnitudes
    at worst (_BLOCK_ROWS additions in float32) and a few 2^-24 in practice.
    A row with a NaN, infinite or huge value is left out and counted.
    """

    sums: DoubleArray
    """[groups, K, K], symmetric."""
    rows: int = 0
    """Rows in the sum; the mean is sums / rows."""
    left_out: int = 0

    @classmethod
    def of(cls, columns: int, *, groups: int = 1) -> Self:
        """Nothing seen yet."""
        return cls(np.zeros((groups, columns, columns)))

    def observe(self, rows: FloatArray) -> None:
        """Fold rows [groups, n, K] into the sums: from `linear_rows` or `convolution_rows`.

        A row is one position of the input: it is left out of all groups or of none. Raises ColumnsDiffer.
        """
        groups, columns, _ = self.sums.shape
        if rows.ndim != 3 or (rows.shape[0], rows.shape[2]) != (groups, columns):
            raise ColumnsDiffer(f"rows {rows.shape} should be [{groups}, n, {columns}]")
        for start in range(0, rows.shape[1], _BLOCK_ROWS):
            self._observe_block(rows[:, start : start + _BLOCK_ROWS])

    def __add__(self, other: Self) -> Self:
        if self.sums.shape != other.sums.shape:
            raise ColumnsDiffer(f"{self.sums.shape} and {other.sums.shape} are of different layers")
        return type(self)(self.sums + other.sums, self.rows + other.rows, self.left_out + other.left_out)

    def to_arrays(self) -> Arrays:
        return {"sums": self.sums, "tally": np.array([self.rows, self.left_out], np.int64)}

    def filled(self, arrays: Arrays) -> Self:
        """Raises StoredStatisticsInvalid."""
        only(arrays, "sums", "tally")
        sums = doubles(arrays, "sums", self.sums.shape)
        rows, left_out = tally(arrays, "tally", (2,)).tolist()
        return type(self)(sums, rows, left_out)

    def _observe_block(self, block: FloatArray) -> None:
        low, high = float(block.min(initial=0.0)), float(block.max(initial=0.0))
        if not are_usable(low, high):
            block = self._usable_rows(block)
            low, high = float(block.min(initial=0.0)), float(block.max(initial=0.0))
        self.rows += block.shape[1]
        reach = max(-low, high)
        safely = _SQUARES_SAFELY[0] < reach < _SQUARES_SAFELY[1]
        exact = block if safely else block.astype(np.float64)
        for index, group in enumerate(exact):
            self.sums[index] += group.T @ group  # [K, n] @ [n, K]: BLAS sees one matrix twice, and does half the work

    def _usable_rows(self, block: FloatArray) -> FloatArray:
        low, high = block.min(axis=(0, 2)), block.max(axis=(0, 2))
        usable = np.array([are_usable(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)])
        self.left_out += int(np.count_nonzero(~usable))
        return block[:, usable]


def linear_rows(values: npt.ArrayLike) -> FloatArray:
    """The rows that a matrix [K, N] multiplies: [.., K] -> [1, n, K]."""
    with np.errstate(over="ignore"):
        tensor = np.asarray(values, np.float32)
    # the extent is spelled out, because -1 is ambiguous when there are no rows
    return tensor.reshape(1, int(np.prod(tensor.shape[:-1])), tensor.shape[-1])
