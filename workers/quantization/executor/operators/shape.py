"""Shapes and types: reading them, giving new ones, and making tensors from them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.quantization.executor.element_types import TORCH_OF_ONNX, torch_type
from workers.quantization.executor.operators.entry import Attributes, Entry, Key


def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


def size(x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), dtype=torch.int64)


def reshape(x: Tensor, shape: list[int], *, allowzero: int = 0) -> Tensor:
    """A zero keeps the dimension that was there, unless allowzero asks for an empty tensor."""
    return x.reshape(shape if allowzero else [d or x.shape[i] for i, d in enumerate(shape)])


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """[d0, ..., dn] -> [d0 * ... * d(axis-1), d(axis) * ... * dn]"""
    split = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))


def squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def squeeze_by_attribute(x: Tensor, *, axes: Sequence[int] | None = None) -> Tensor:
    return squeeze(x, None if axes is None else list(axes))


def unsqueeze(x: Tensor, axes: list[int]) -> Tensor:
    """Axes count in the result, so they go in from the lowest to the highest."""
    rank = x.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


def unsqueeze_by_attribute(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    return unsqueeze(x, list(axes))


def expand(x: Tensor, shape: list[int]) -> Tensor:
    """Broadcasting in both directions: a 1 in `shape` leaves the tensor's own dimension."""
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape)))  # type: ignore[no-untyped-call]  # it has no types


def identity(x: Tensor) -> Tensor:
    return x


def dropout(
    x: Tensor, ratio: float | None = None, training: int | None = None, *, seed: int = 0, output_count: int
) -> object:
    """What is left of it in inference: nothing is dropped, and the mask says so."""
    del ratio, seed
    if training:
        raise ValueError("Dropout in training mode has no one right answer")
    return (x, torch.ones_like(x, dtype=torch.bool)) if output_count > 1 else x


def dropout_by_attribute(x: Tensor, *, ratio: float = 0.5, output_count: int) -> object:
    """Dropout-7 knows no training mode."""
    return dropout(x, ratio, output_count=output_count)


def cast(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """The last two attributes matter only for types of 8 bits and fewer, which are refused."""
    del saturate, round_mode
    return x.to(torch_type(to))


def cast_like(x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    del saturate, round_mode
    return x.to(like.dtype)


def constant_of_shape(shape: list[int], *, value: Tensor | None = None, device: torch.device) -> Tensor:
    """value: one element, float32 zero if not given."""
    if value is None:
        return torch.zeros(shape, device=device)
    return torch.full(shape, value.item(), dtype=value.dtype, device=device)


def eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    kind = x.dtype if dtype is None else torch_type(dtype)
    ones = torch.ones(x.shape, dtype=torch.uint8, device=x.device)
    return (ones.triu(k) * ones.tril(k)).to(kind)


def number_range(start: Tensor, limit: Tensor, delta: Tensor, *, device: torch.device) -> Tensor:
    """The result has the type of the three scalars."""
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype, device=device)


def _refuses_type(attributes: Attributes) -> str | None:
    wanted = attributes.get("to", attributes.get("dtype"))
    return None if wanted is None or wanted in TORCH_OF_ONNX else f"torch does not compute with ONNX type {wanted}"


SHAPE: dict[Key, Entry] = {
    ("Cast", 6): Entry(cast, refuses=_refuses_type),
    ("CastLike", 15): Entry(cast_like),
    ("ConstantOfShape", 9): Entry(constant_of_shape, numbers=(0,)),
    ("Dropout", 7): Entry(dropout_by_attribute),
    ("Dropout", 12): Entry(dropout, numbers=(1, 2)),
    ("Expand", 8): Entry(expand, numbers=(1,)),
    ("EyeLike", 9): Entry(eye_like, refuses=_refuses_type),
    ("Flatten", 9): Entry(flatten),
    ("Identity", 1): Entry(identity),
    ("Range", 11): Entry(number_range, on_host=(0, 1, 2)),
    ("Reshape", 5): Entry(reshape, numbers=(1,)),
    ("Shape", 1): Entry(shape),
    ("Size", 1): Entry(size),
    ("Squeeze", 1): Entry(squeeze_by_attribute),
    ("Squeeze", 13): Entry(squeeze, numbers=(1,)),
    ("Unsqueeze", 1): Entry(unsqueeze_by_attribute),
    ("Unsqueeze", 13): Entry(unsqueeze, numbers=(1,)),
}
