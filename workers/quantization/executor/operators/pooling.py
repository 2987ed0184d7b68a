"""Windows that slide over the spatial axes and keep a maximum, or a mean."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from workers.quantization.executor.operators.entry import Entry, Key
from workers.quantization.executor.operators.window import (
    Pads,
    Window,
    padded,
    resolved_pads,
    stretched_to_ceil,
    symmetric,
    window,
)

_MAXIMA: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
_MEANS: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


def max_pool(  # noqa: PLR0913  # ONNX's own attributes
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
    output_count: int,
) -> object:
    """The second output says where each maximum lies in x flattened, column by column if storage_order is 1."""
    over = window(kernel_shape, strides, dilations)
    around = resolved_pads(x.shape[2:], over, auto_pad=auto_pad, pads=pads)
    around = stretched_to_ceil(x.shape[2:], over, around) if ceil_mode else around
    run, placed, inside = _MAXIMA[len(over.kernel)], x, (0,) * len(over.kernel)
    if symmetric(around) and all(2 * begin <= k for (begin, _), k in zip(around, over.kernel, strict=True)):
        inside = tuple(begin for begin, _ in around)
    else:
        placed = padded(x, around, _lowest(x.dtype))
    if output_count == 1:
        return run(placed, over.kernel, over.strides, inside, over.dilations)
    values, places = run(placed, over.kernel, over.strides, inside, over.dilations, return_indices=True)
    begins = tuple(0 for _ in around) if placed is x else tuple(begin for begin, _ in around)
    return values, _places_in_x(places, x.shape, placed.shape[2:], begins, column_major=bool(storage_order))


def _lowest(dtype: torch.dtype) -> float:
    return float("-inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def _places_in_x(
    places: Tensor, shape: Sequence[int], placed: Sequence[int], begins: Sequence[int], *, column_major: bool
) -> Tensor:
    """A place counts within one padded plane in torch, within all of x in ONNX. [n, c, ...] -> [n, c, ...]"""
    coordinates = []
    for size, begin in zip(reversed(placed), reversed(begins), strict=True):
        coordinates.append(places % size - begin)
        places = places // size
    coordinates.reverse()
    sizes = list(shape[2:])
    if column_major:
        coordinates, sizes = coordinates[::-1], sizes[::-1]
    planes = torch.arange(shape[0] * shape[1], device=places.device)
    flat = planes.reshape(shape[0], shape[1], *[1] * len(sizes))
    for coordinate, size in zip(coordinates, sizes, strict=True):
        flat = flat * size + coordinate
    return flat


def average_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """The mean over what a window covers of x, or also of its pads; never of what ceil_mode adds behind them."""
    over = window(kernel_shape, strides, dilations)
    around = resolved_pads(x.shape[2:], over, auto_pad=auto_pad, pads=pads)
    reached = stretched_to_ceil(x.shape[2:], over, around) if ceil_mode else around
    if not any(end for pair in reached for end in pair):
        return _window_mean(x, over)
    counted = x.new_ones(1, 1, *x.shape[2:])
    counted = padded(counted, around, 1.0) if count_include_pad else padded(counted, around, 0.0)
    counted = padded(counted, _beyond(around, reached), 0.0)
    return _window_mean(padded(x, reached, 0.0), over) / _window_mean(counted, over)


def _beyond(around: Pads, reached: Pads) -> Pads:
    return tuple((0, far - near) for (_, near), (_, far) in zip(around, reached, strict=True))


def _window_mean(x: Tensor, over: Window) -> Tensor:
    if set(over.dilations) == {1}:
        return _MEANS[len(over.kernel)](x, over.kernel, over.strides)
    return _dilated_mean(x, over)


def _dilated_mean(x: Tensor, over: Window) -> Tensor:
    """There is no dilated mean in torch: add up one strided view for each place in the window."""
    axes = list(zip(x.shape[2:], over.strides, over.reach, over.dilations, over.kernel, strict=True))
    lasts = [(size - reach) // stride * stride for size, stride, reach, _, _ in axes]
    total = torch.zeros(())
    for place in itertools.product(*(range(0, d * k, d) for _, _, _, d, k in axes)):
        spans = (slice(p, p + last + 1, s) for p, last, s in zip(place, lasts, over.strides, strict=True))
        total = x[(slice(None), slice(None), *spans)] + total
    return total / torch.Size(over.kernel).numel()


def global_average(x: Tensor) -> Tensor:
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def global_maximum(x: Tensor) -> Tensor:
    return x.amax(tuple(range(2, x.ndim)), keepdim=True)


POOLING: dict[Key, Entry] = {
    ("AveragePool", 7): Entry(average_pool),
    ("GlobalAveragePool", 1): Entry(global_average),
    ("GlobalMaxPool", 1): Entry(global_maximum),
    ("MaxPool", 1): Entry(max_pool),
}
