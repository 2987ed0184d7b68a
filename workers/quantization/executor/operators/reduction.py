"""Many values to one.

Which axes are reduced was an attribute, and became an input: with opset 13 for ReduceSum, with 18 for the others.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from workers.quantization.executor.operators.entry import Entry, Key

Reduce = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _sum(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001  # torch's own order
    return torch.sum(x, dims, keep, dtype=x.dtype)


def _mean(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    if x.is_floating_point():
        return torch.mean(x, dims, keep)
    return torch.div(_sum(x, dims, keep), math.prod(x.shape[d] for d in dims), rounding_mode="trunc")


def _prod(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    for dim in sorted((d % x.ndim for d in dims), reverse=True):
        x = torch.prod(x, dim, keep, dtype=x.dtype)
    return x


def _max(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return torch.amax(_never_empty(x, dims, _lowest(x.dtype)), dims, keep)


def _min(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return torch.amin(_never_empty(x, dims, _highest(x.dtype)), dims, keep)


def _never_empty(x: Tensor, dims: tuple[int, ...], neutral: float) -> Tensor:
    """The extreme of nothing is the neutral element: put one where an axis to reduce has no values."""
    shape = [1 if d in {a % x.ndim for a in dims} and n == 0 else n for d, n in enumerate(x.shape)]
    return x if list(x.shape) == shape else x.new_full(shape, neutral)


def _lowest(dtype: torch.dtype) -> float:
    return -math.inf if dtype.is_floating_point else 0 if dtype == torch.bool else torch.iinfo(dtype).min


def _highest(dtype: torch.dtype) -> float:
    return math.inf if dtype.is_floating_point else 1 if dtype == torch.bool else torch.iinfo(dtype).max


def _l1(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return _sum(x.abs(), dims, keep)


def _l2(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return _sum(x * x, dims, keep).sqrt().to(x.dtype)


def _sum_square(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return _sum(x * x, dims, keep)


def _log_sum(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return _sum(x, dims, keep).log()


def _log_sum_exp(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:  # noqa: FBT001
    return torch.logsumexp(x, dims, keep)


def with_attribute(reduce: Reduce) -> Callable[..., Tensor]:
    def reduced(x: Tensor, *, axes: Sequence[int] | None = None, keepdims: int = 1) -> Tensor:
        return _over_axes(reduce, x, axes, keep=bool(keepdims))

    return reduced


def with_input(reduce: Reduce) -> Callable[..., Tensor]:
    def reduced(
        x: Tensor, axes: list[int] | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        if noop_with_empty_axes and not axes:  # "no reduction" is one over an axis of length 1
            return reduce(x.unsqueeze(-1), (-1,), False)  # noqa: FBT003  # torch's own order
        return _over_axes(reduce, x, axes, keep=bool(keepdims))

    return reduced


def _over_axes(reduce: Reduce, x: Tensor, axes: Sequence[int] | None, *, keep: bool) -> Tensor:
    """No axes: all of them. A scalar has none to reduce, so it lends one."""
    if x.ndim == 0:
        return reduce(x.unsqueeze(0), (0,), False)  # noqa: FBT003
    return reduce(x, tuple(axes or range(x.ndim)), keep)


_REDUCTIONS: dict[str, Reduce] = {
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _max,
    "ReduceMean": _mean,
    "ReduceMin": _min,
    "ReduceProd": _prod,
    "ReduceSum": _sum,
    "ReduceSumSquare": _sum_square,
}

REDUCTION: dict[Key, Entry] = {
    (name, since): entry
    for name, reduce in _REDUCTIONS.items()
    for since, entry in (
        (1, Entry(with_attribute(reduce))),
        (13 if name == "ReduceSum" else 18, Entry(with_input(reduce), numbers=(1,))),
    )
}
