"""Resize as sums over taps: each output position reads 1 (nearest), 2 (linear) or 4 (cubic) positions of an axis.

Axes are independent, so an image is resized one axis at a time. Per axis, in three steps:

    1. where output i lies on the input axis            coordinate_transformation_mode
    2. which positions around it are read, how much     mode, nearest_mode, cubic_coeff_a, exclude_outside
    3. y = sum over taps of weight * x[position]        positions outside are the border's value

Source: ONNX Resize-19. Upsample-9 is its oldest form: asymmetric, floor.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.quantization.executor.operators.entry import Attributes, Entry, Key


@dataclass(frozen=True)
class Axis:
    index: int
    size: int
    scale: float
    new_size: int


@dataclass(frozen=True)
class Sampling:
    mode: str
    transformation: str
    nearest: str
    cubic_a: float
    exclude_outside: bool


def positions(axis: Axis, transformation: str) -> Tensor:
    """[new_size] float64: where each output lies on the input axis."""
    i = torch.arange(axis.new_size, dtype=torch.float64)
    match transformation:
        case "asymmetric":
            return i / axis.scale
        case "align_corners":
            return i * ((axis.size - 1) / (axis.new_size - 1)) if axis.new_size > 1 else i * 0
        case "pytorch_half_pixel" if axis.new_size == 1:
            return torch.zeros(1, dtype=torch.float64)
        case "half_pixel_symmetric":  # as if the rounding of the new size were cut off at both ends alike
            adjustment = axis.new_size / (axis.scale * axis.size)
            return axis.size / 2 * (1 - adjustment) + (i + 0.5) / axis.scale - 0.5
        case _:
            return (i + 0.5) / axis.scale - 0.5


_ROUNDING: dict[str, Callable[[Tensor], Tensor]] = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round_prefer_floor": lambda at: torch.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: torch.floor(at + 0.5),
}


def taps(at: Tensor, size: int, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """(positions [taps, new_size] int64 in [0, size), weights [taps, new_size] float64)."""
    if sampling.mode == "nearest":
        return _ROUNDING[sampling.nearest](at).clamp(0, size - 1).long()[None], torch.ones(1, len(at)).double()
    low = torch.floor(at)
    t = at - low
    if sampling.mode == "linear":
        places, weights = torch.stack([low, low + 1]), torch.stack([1 - t, t])
    else:
        places, weights = torch.stack([low - 1, low, low + 1, low + 2]), _cubic(t, sampling.cubic_a)
    if sampling.exclude_outside:
        weights = weights * ((places >= 0) & (places < size))
        weights = weights / weights.sum(0)
    return places.clamp(0, size - 1).long(), weights


def _cubic(t: Tensor, a: float) -> Tensor:
    """[4, n] weights of the neighbours at distances 1 + t, t, 1 - t, 2 - t. Keys, IEEE ASSP 29(6), 1981, eq. 15."""

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return torch.stack([far(1 + t), near(t), near(1 - t), far(2 - t)])


def resize_axis(x: Tensor, axis: Axis, sampling: Sampling) -> Tensor:
    places, weights = taps(positions(axis, sampling.transformation), axis.size, sampling)
    places = places.to(x.device, non_blocking=True)
    if len(places) == 1:
        return x.index_select(axis.index, places[0])
    along = [-1 if d == axis.index else 1 for d in range(x.ndim)]
    weights = weights.to(x.dtype).to(x.device, non_blocking=True)
    parts = [x.index_select(axis.index, p) * w.reshape(along) for p, w in zip(places, weights, strict=True)]
    return torch.stack(parts).sum(0)


def resize(  # noqa: PLR0913  # ONNX's own attributes
    x: Tensor,
    _roi: Tensor | None = None,
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    """scales, or else sizes, for `axes` or for every axis. The region of interest only matters to a refused mode."""
    del antialias, extrapolation_value
    sampling = Sampling(
        mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, bool(exclude_outside) and mode != "nearest"
    )
    dims = [a % x.ndim for a in axes] if axes is not None else list(range(x.ndim))
    for axis in _resized(x.shape, dims, scales, sizes, keep_aspect_ratio_policy):
        if axis.new_size != axis.size or axis.scale != 1:
            x = resize_axis(x, axis, sampling)
    return x


def _resized(
    shape: Sequence[int], dims: list[int], scales: list[float] | None, sizes: list[int] | None, policy: str
) -> list[Axis]:
    if scales:
        return [Axis(d, shape[d], s, math.floor(shape[d] * s)) for d, s in zip(dims, scales, strict=True)]
    wanted = [(d, n, n / shape[d]) for d, n in zip(dims, sizes or [], strict=True)]
    if policy == "stretch":
        return [Axis(d, shape[d], ratio, n) for d, n, ratio in wanted]
    common = (min if policy == "not_larger" else max)(ratio for _, _, ratio in wanted)
    return [Axis(d, shape[d], common, math.floor(common * shape[d] + 0.5)) for d in dims]


def resize_to_scales(x: Tensor, scales: list[float], *, mode: str = "nearest") -> Tensor:
    """Upsample-9 and Resize-10: asymmetric, and nearest means floor."""
    return resize(x, None, scales, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def _refuses(attributes: Attributes) -> str | None:
    if attributes.get("antialias"):
        return "antialias = 1"
    if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return "coordinate_transformation_mode = tf_crop_and_resize"
    return None


RESIZE: dict[Key, Entry] = {
    ("Resize", 10): Entry(resize_to_scales, numbers=(1,)),
    ("Resize", 11): Entry(resize, numbers=(2, 3), refuses=_refuses),
    ("Upsample", 9): Entry(resize_to_scales, numbers=(1,)),
}
