"""A convolution's input as the rows of a matrix product (im2col)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.quantization.observers.second_moments import FloatArray


class GroupsDoNotDivide(ValueError):
    """The channels of a tensor cannot be dealt out to that many groups."""


@dataclass(frozen=True)
class Window:
    """What a convolution looks at: ONNX Conv's attributes, resolved (no auto_pad).

    One entry for each spatial axis; pads as ONNX has them: all begins, then all ends.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    group: int = 1

    @classmethod
    def plain(cls, *kernel: int) -> Self:
        """Stride and dilation 1, no padding, one group: ONNX's defaults."""
        ones = (1,) * len(kernel)
        return cls(kernel, ones, ones, (0,) * (2 * len(kernel)))


def convolution_rows(values: npt.ArrayLike, window: Window) -> FloatArray:
    """The rows that the filters multiply: [N, C, *spatial] -> [group, N * positions, prod(kernel) * C / group].

    The channels are innermost in a row, as in the rows of weights that `rounding` works on: a filter W of group g gives
    Y[n, p] = rows[g, n * positions + p] . W'.ravel(), with W' the [C / group, *kernel] of W as [*kernel, C / group].
    The result is prod(kernel) / prod(strides) times as large as the input: hand over few samples at a time.
    Raises GroupsDoNotDivide.
    Source: ONNX Conv-11; the unfolding is Chellapilla et al., 2006.
    """
    with np.errstate(over="ignore"):
        tensor = np.asarray(values, np.float32)
    samples, channels = tensor.shape[:2]
    if channels % window.group:
        raise GroupsDoNotDivide(f"{channels} channels, {window.group} groups")
    seen = _windows(tensor, window)  # [N, C, *positions, *kernel]
    axes, each = len(window.kernel), channels // window.group
    grouped = seen.reshape(samples, window.group, each, *seen.shape[2:])
    # -> [group, N, *positions, *kernel, channels of the group]
    ordered = grouped.transpose(1, 0, *range(3, 3 + 2 * axes), 2)
    rows, columns = samples * int(np.prod(seen.shape[2 : 2 + axes])), each * int(np.prod(window.kernel))
    return ordered.reshape(window.group, rows, columns)


def _windows(tensor: FloatArray, window: Window) -> FloatArray:
    """A view of what each position sees: [N, C, *spatial] -> [N, C, *positions, *kernel]."""
    axes = len(window.kernel)
    margins = list(zip(window.pads[:axes], window.pads[axes:], strict=True))
    padded = np.pad(tensor, [(0, 0), (0, 0), *margins])
    extents = tuple((k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True))
    spatial = tuple(range(2, 2 + axes))
    every = np.lib.stride_tricks.sliding_window_view(padded, extents, axis=spatial)
    steps = [slice(None, None, step) for step in (*window.strides, *window.dilations)]
    return every[:, :, *steps]
