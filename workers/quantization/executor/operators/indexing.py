"""Reading and writing at computed places, and finding places: gather, scatter, top-k, arg-max.

Negative indices count from the end in ONNX, and torch's functions refuse them: they are brought to [0, size) first,
on the device, without a look at the values.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from workers.quantization.executor.operators.entry import Entry, Key

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _from_start(indices: Tensor, size: int) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """[a..., n, b...], [i...] -> [a..., i..., b...]"""
    axis %= x.ndim
    picked = x.index_select(axis, _from_start(indices, x.shape[axis]).reshape(-1))
    return picked.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return torch.gather(x, axis, _from_start(indices, x.shape[axis]))


def _flat_places(indices: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """[..., k] coordinates in a tensor of k leading `sizes` -> [...] places in those sizes flattened."""
    places = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=indices.device)
    for k, size in enumerate(sizes):
        places = places * size + _from_start(indices[..., k], size)
    return places


def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """[b..., n..., r...], [b..., i..., k] -> [b..., i..., r...]: k coordinates, among the n, of each slice r."""
    batch, depth = x.shape[:batch_dims], indices.shape[-1]
    sizes, rest = x.shape[batch_dims : batch_dims + depth], x.shape[batch_dims + depth :]
    table = x.reshape(batch.numel(), sizes.numel(), rest.numel())
    places = _flat_places(indices, sizes).reshape(batch.numel(), -1)
    picked = torch.gather(table, 1, places[..., None].expand(*places.shape, table.shape[2]))
    return picked.reshape(indices.shape[:-1] + rest)


def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """[n..., r...], [i..., k], [i..., r...]: a copy of x with the slices at k coordinates replaced, or reduced with."""
    depth = indices.shape[-1]
    sizes, rest = x.shape[:depth], x.shape[depth:]
    table = x.reshape(sizes.numel(), rest.numel())
    places = _flat_places(indices, sizes).reshape(-1, 1).expand(-1, rest.numel())
    return _scattered(table, 0, places, updates.reshape(places.shape), reduction).reshape(x.shape)


def scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none") -> Tensor:
    return _scattered(x, axis, _from_start(indices, x.shape[axis]), updates, reduction)


def _scattered(x: Tensor, axis: int, places: Tensor, updates: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, _REDUCTIONS[reduction])


def one_hot(indices: Tensor, depth: int | list[int], values: Tensor, *, axis: int = -1) -> Tensor:
    """The two values are [off, on]; an index outside of [-depth, depth) is nowhere on."""
    size = int(depth[0] if isinstance(depth, list) else depth)
    classes = torch.arange(size, device=indices.device)
    on = _from_start(indices, size).unsqueeze(axis) == classes.reshape([-1] + [1] * (_trailing(indices, axis)))
    return torch.where(on, values[1], values[0])


def _trailing(indices: Tensor, axis: int) -> int:
    """How many axes come after a new one put at `axis`."""
    return indices.ndim - axis % (indices.ndim + 1)


def non_zero(x: Tensor) -> Tensor:
    """[rank, count]. How many there are decides the shape: on a device this waits for the values."""
    return torch.nonzero(x).T


def top_k(
    x: Tensor,
    k: int | list[int],
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,  # noqa: A002  # ONNX's name
) -> tuple[Tensor, Tensor]:
    """A stable sort: among equals ONNX gives the lower index first. What need not be sorted may be."""
    del sorted
    count = int(k[0] if isinstance(k, list) else k)
    values, places = torch.sort(x, dim=axis, descending=bool(largest), stable=True)
    return values.narrow(axis, 0, count), places.narrow(axis, 0, count)


def top_k_by_attribute(x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    return top_k(x, k, axis=axis)


def arg_extreme(find: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """ArgMax or ArgMin from torch's own, which finds the first of equals."""

    def arg(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if select_last_index:
            return x.shape[axis] - 1 - find(x.flip(axis), dim=axis, keepdim=bool(keepdims))
        return find(x, dim=axis, keepdim=bool(keepdims))

    return arg


INDEXING: dict[Key, Entry] = {
    ("ArgMax", 1): Entry(arg_extreme(torch.argmax)),
    ("ArgMin", 1): Entry(arg_extreme(torch.argmin)),
    ("Gather", 1): Entry(gather),
    ("GatherElements", 11): Entry(gather_elements),
    ("GatherND", 11): Entry(gather_nd),
    ("NonZero", 9): Entry(non_zero),
    ("OneHot", 9): Entry(one_hot, numbers=(1,)),
    ("Scatter", 9): Entry(scatter_elements),
    ("ScatterElements", 11): Entry(scatter_elements),
    ("ScatterND", 11): Entry(scatter_nd),
    ("TopK", 1): Entry(top_k_by_attribute),
    ("TopK", 10): Entry(top_k, numbers=(1,)),
}
