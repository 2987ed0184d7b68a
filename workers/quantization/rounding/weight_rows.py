"""A weight as the matrix that an integer kernel multiplies by: one row for each output channel.

    MatMul [K, N]              -> [N, K]
    Gemm   [N, K] or [K, N]    -> [N, K]
    Conv   [O, C/g, kh, kw]    -> [O, kh * kw * C/g]

The order within a row is the one in which ONNX Runtime's CPU kernels walk it: a convolution is unrolled with the
channels innermost. It decides which weights meet in one 16-bit sum (`pair_limit`), so it is part of the layout and not
a choice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray, IntArray

_STRIP = 128
"""Columns of a matrix that are turned at once: their lines of the cache are still there when the next row is read."""


@dataclass(frozen=True)
class RowLayout:
    """How to lay a weight out in rows, and back."""

    shape: tuple[int, ...]
    axis: int
    """The axis of the output channels."""

    def rows(self, weight: npt.NDArray[np.generic]) -> FloatArray:
        """[.., channels, ..] -> [channels, K], contiguous."""
        moved = weight.transpose(self._order)
        return _contiguous(moved).reshape(self.shape[self.axis], -1)

    def weight(self, rows: IntArray | FloatArray) -> npt.NDArray[np.generic]:
        """The inverse of `rows`."""
        moved = rows.reshape([self.shape[d] for d in self._order])
        return _contiguous(moved.transpose(np.argsort(self._order)))

    @property
    def _order(self) -> tuple[int, ...]:
        others = [d for d in range(len(self.shape)) if d != self.axis]
        # [O, C, kh, kw] -> [O, kh, kw, C]: of a convolution's input axes the channels come first, and belong last
        return (self.axis, *others[1:], others[0]) if others else (self.axis,)


def _contiguous(turned: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """A copy in memory's order, unless it is that already. NumPy's own misses the cache with every number of a large
    matrix, and takes six times as long."""
    if turned.ndim != 2 or turned.flags.c_contiguous:
        return np.ascontiguousarray(turned)
    copy = np.empty_like(turned, order="C")
    for start in range(0, turned.shape[1], _STRIP):
        copy[:, start : start + _STRIP] = turned[:, start : start + _STRIP]
    return copy
