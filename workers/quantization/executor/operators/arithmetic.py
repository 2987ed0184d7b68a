"""Element by element: numbers in, numbers out."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from workers.quantization.executor.operators.entry import Entry, Key


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards zero, as in C. Div-7 leaves the rounding open; every runtime does this."""
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def power(base: Tensor, exponent: Tensor) -> Tensor:
    """The result has the type of the base, whatever the exponent's."""
    return torch.pow(base, exponent).to(base.dtype)


def modulo(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """The sign is the divisor's, as in Python, or the dividend's with fmod = 1, as in C."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clip-11: bounds are inputs. Where low > high the result is high."""
    return x if low is None and high is None else torch.clamp(x, low, high)


def clip_by_attributes(x: Tensor, *, min: float | None = None, max: float | None = None) -> Tensor:  # noqa: A002
    """Clip-6: bounds are attributes."""
    return x if min is None and max is None else torch.clamp(x, min, max)


def folded(operator: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """An operator of two tensors, for any number of them."""

    def fold(*tensors: Tensor) -> Tensor:
        return functools.reduce(operator, tensors)

    return fold


def mean(*tensors: Tensor) -> Tensor:
    return functools.reduce(torch.add, tensors) / len(tensors)


def cumulative_sum(x: Tensor, axis: int | list[int], *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """An exclusive sum stops before the element itself; a reverse one runs from the end."""
    dim = axis if isinstance(axis, int) else axis[0]
    x = x.flip(dim) if reverse else x
    total = torch.cumsum(x, dim, dtype=x.dtype)
    total = total - x if exclusive else total
    return total.flip(dim) if reverse else total


ARITHMETIC: dict[Key, Entry] = {
    ("Abs", 6): Entry(torch.abs),
    ("Acos", 7): Entry(torch.acos),
    ("Acosh", 9): Entry(torch.acosh),
    ("Add", 7): Entry(torch.add),
    ("Asin", 7): Entry(torch.asin),
    ("Asinh", 9): Entry(torch.asinh),
    ("Atan", 7): Entry(torch.atan),
    ("Atanh", 9): Entry(torch.atanh),
    ("Ceil", 6): Entry(torch.ceil),
    ("Clip", 6): Entry(clip_by_attributes),
    ("Clip", 11): Entry(clip),
    ("Cos", 7): Entry(torch.cos),
    ("Cosh", 9): Entry(torch.cosh),
    ("CumSum", 11): Entry(cumulative_sum, numbers=(1,)),
    ("Div", 7): Entry(divide),
    ("Erf", 9): Entry(torch.erf),
    ("Exp", 6): Entry(torch.exp),
    ("Floor", 6): Entry(torch.floor),
    ("Log", 6): Entry(torch.log),
    ("Max", 8): Entry(folded(torch.maximum)),
    ("Mean", 8): Entry(mean),
    ("Min", 8): Entry(folded(torch.minimum)),
    ("Mod", 10): Entry(modulo),
    ("Mul", 7): Entry(torch.mul),
    ("Neg", 6): Entry(torch.neg),
    ("Pow", 7): Entry(power),
    ("Reciprocal", 6): Entry(torch.reciprocal),
    ("Round", 11): Entry(torch.round),  # half to even, as ONNX asks
    ("Sign", 9): Entry(torch.sign),
    ("Sin", 7): Entry(torch.sin),
    ("Sinh", 9): Entry(torch.sinh),
    ("Sqrt", 6): Entry(torch.sqrt),
    ("Sub", 7): Entry(torch.sub),
    ("Sum", 8): Entry(folded(torch.add)),
    ("Tan", 7): Entry(torch.tan),
}
