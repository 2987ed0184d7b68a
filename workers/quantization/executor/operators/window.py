"""The geometry that convolutions and pools share: where windows lie on an axis, and what must be padded for them.

Per axis, with d = dilation * (kernel - 1) + 1 the reach of the window:

    explicit pads    out = floor((size + begin + end - d) / stride) + 1, or ceil for pools with ceil_mode
    VALID            begin = end = 0
    SAME_*           out = ceil(size / stride), total pad = max((out - 1) * stride + d - size, 0), halved;
                     the odd one goes to the end (SAME_UPPER) or to the beginning (SAME_LOWER)

Source: ONNX Conv-11, MaxPool-12, AveragePool-19.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

Pads = tuple[tuple[int, int], ...]
"""(begin, end) for each spatial axis."""


@dataclass(frozen=True)
class Window:
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def window(kernel: Sequence[int], strides: Sequence[int] | None, dilations: Sequence[int] | None) -> Window:
    ones = (1,) * len(kernel)
    return Window(tuple(kernel), tuple(strides or ones), tuple(dilations or ones))


def paired(pads: Sequence[int] | None, rank: int) -> Pads:
    """ONNX lists all beginnings, then all ends."""
    return tuple(zip(pads[:rank], pads[rank:], strict=True)) if pads else ((0, 0),) * rank


def resolved_pads(sizes: Sequence[int], over: Window, *, auto_pad: str, pads: Sequence[int] | None) -> Pads:
    """The pads that auto_pad stands for; sizes: the spatial axes of the input."""
    match auto_pad:
        case "NOTSET":
            return paired(pads, len(sizes))
        case "VALID":
            return ((0, 0),) * len(sizes)
    totals = []
    for size, stride, reach in zip(sizes, over.strides, over.reach, strict=True):
        totals.append(max((-(-size // stride) - 1) * stride + reach - size, 0))
    return tuple(halved(total, auto_pad=auto_pad) for total in totals)


def halved(total: int, *, auto_pad: str) -> tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


def stretched_to_ceil(sizes: Sequence[int], over: Window, pads: Pads) -> Pads:
    """ceil_mode as pads: the ends grow, or shrink, until the last window that starts inside fits exactly.

    A window that would start in the padding at the end does not exist.
    """
    ends = []
    for size, (begin, end), stride, reach in zip(sizes, pads, over.strides, over.reach, strict=True):
        count = -(-(size + begin + end - reach) // stride) + 1
        if (count - 1) * stride >= size + begin:
            count -= 1
        ends.append((count - 1) * stride + reach - size - begin)
    return tuple((begin, end) for (begin, _), end in zip(pads, ends, strict=True))


def symmetric(pads: Pads) -> bool:
    return all(begin == end for begin, end in pads)


def padded(x: Tensor, pads: Pads, value: float) -> Tensor:
    """Explicitly, where torch has no argument for it. Negative pads cut."""
    flat = [p for pair in reversed(pads) for p in pair]  # torch counts from the last axis
    return functional.pad(x, flat, value=value) if any(flat) else x
