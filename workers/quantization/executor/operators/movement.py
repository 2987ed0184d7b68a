"""Moving values without changing them: cutting, joining, repeating, padding."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from workers.quantization.executor.operators.entry import Entry, Key


def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(tuple(perm) if perm is not None else tuple(reversed(range(x.ndim))))


def concat(*tensors: Tensor, axis: int) -> Tensor:
    return torch.cat(tensors, axis)


def divided(x: Tensor, sizes: list[int] | None = None, *, axis: int = 0, output_count: int) -> tuple[Tensor, ...]:
    """Without sizes: equal parts, the last one smaller if it does not go up evenly (Split-18)."""
    part = -(-x.shape[axis] // output_count)
    lengths = sizes if sizes is not None else [part] * (output_count - 1) + [x.shape[axis] - part * (output_count - 1)]
    return torch.split(x, lengths, axis)


def split_by_attribute(
    x: Tensor, *, axis: int = 0, split: Sequence[int] | None = None, output_count: int
) -> tuple[Tensor, ...]:
    return divided(x, None if split is None else list(split), axis=axis, output_count=output_count)


def split_into(
    x: Tensor, sizes: list[int] | None = None, *, axis: int = 0, num_outputs: int | None = None, output_count: int
) -> tuple[Tensor, ...]:
    """Split-18: num_outputs only repeats how many outputs the node has."""
    del num_outputs
    return divided(x, sizes, axis=axis, output_count=output_count)


def cut(
    x: Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Tensor:
    """Slice-10: each axis as in Python, negative steps included."""
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = _cut_one(x, slice(start, end, step), axis % x.ndim)
    return x


def _cut_one(x: Tensor, span: slice, axis: int) -> Tensor:
    """There are no negative steps in torch: turn the axis round and count from the other end."""
    size = x.shape[axis]
    start, stop, step = span.indices(size)
    if step < 0:
        x, start, stop, step = x.flip(axis), size - 1 - start, size - 1 - stop, -step
    return x[(slice(None),) * axis + (slice(start, max(stop, start), step),)]


def cut_by_attributes(
    x: Tensor, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None
) -> Tensor:
    return cut(x, starts, ends, axes)


def tile(x: Tensor, repeats: list[int]) -> Tensor:
    return x.repeat(repeats)


def pad(
    x: Tensor,
    pads: list[int],
    value: float | list[float] | None = None,
    axes: list[int] | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    """The pads are all the beginnings, then all the ends, for `axes` or for every axis; negative ones cut."""
    fill = (value[0] if isinstance(value, list) else value) or 0
    dims = [a % x.ndim for a in axes] if axes is not None else list(range(x.ndim))
    begins, ends = pads[: len(dims)], pads[len(dims) :]
    for axis, begin, end in zip(dims, begins, ends, strict=True):
        if begin or end:
            x = _pad_one(x, axis, begin, end, mode=mode, value=fill)
    return x


def _pad_one(x: Tensor, axis: int, begin: int, end: int, *, mode: str, value: float) -> Tensor:
    if mode == "constant":
        before_last = [0, 0] * (x.ndim - 1 - axis)  # functional.pad counts from the last axis
        return functional.pad(x, [*before_last, begin, end], value=value)
    size = x.shape[axis]
    position = torch.arange(-begin, size + end, device=x.device)
    return x.index_select(axis, _source(position, size, mode))


def _source(position: Tensor, size: int, mode: str) -> Tensor:
    """Where the value at a position outside of [0, size) comes from."""
    match mode:
        case "edge":
            return position.clamp(0, size - 1)
        case "wrap":
            return position.remainder(size)
        case "reflect":
            period = max(2 * (size - 1), 1)
            folded = position.remainder(period)
            return torch.minimum(folded, period - folded).clamp(max=size - 1)
        case _:
            raise ValueError(f"Pad knows no mode {mode!r}")


def pad_by_attributes(x: Tensor, *, pads: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    return pad(x, list(pads), value, mode=mode)


def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """[n, c * b * b, h, w] -> [n, c, h * b, w * b]; DCR: the block is the slow part of the depth, CRD: the fast one."""
    n, depth, h, w = x.shape
    b, c = blocksize, depth // blocksize**2
    if mode == "DCR":
        return x.reshape(n, b, b, c, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c, h * b, w * b)
    return x.reshape(n, c, b, b, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c, h * b, w * b)


def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """The way back: [n, c, h * b, w * b] -> [n, c * b * b, h, w]"""
    n, c, h, w = x.shape
    b = blocksize
    blocks = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return blocks.permute(order).reshape(n, c * b * b, h // b, w // b)


def triangle(x: Tensor, k: int | list[int] | None = None, *, upper: int = 1) -> Tensor:
    diagonal = k[0] if isinstance(k, list) else k or 0
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)


MOVEMENT: dict[Key, Entry] = {
    ("Concat", 4): Entry(concat),
    ("DepthToSpace", 1): Entry(depth_to_space),
    ("Pad", 2): Entry(pad_by_attributes),
    ("Pad", 11): Entry(pad, numbers=(1, 2, 3)),
    ("Slice", 1): Entry(cut_by_attributes),
    ("Slice", 10): Entry(cut, numbers=(1, 2, 3, 4)),
    ("SpaceToDepth", 1): Entry(space_to_depth),
    ("Split", 2): Entry(split_by_attribute),
    ("Split", 13): Entry(divided, numbers=(1,)),
    ("Split", 18): Entry(split_into, numbers=(1,)),
    ("Tile", 6): Entry(tile, numbers=(1,)),
    ("Transpose", 1): Entry(transpose),
    ("Trilu", 14): Entry(triangle, numbers=(1,)),
}
