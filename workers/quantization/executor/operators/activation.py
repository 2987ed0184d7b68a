"""The nonlinearities of networks, element by element, and the softmax family."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from workers.quantization.executor.operators.entry import Entry, Key


def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return functional.elu(x, alpha)


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return functional.gelu(x, approximate=approximate)


def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """HardSigmoid-6: max(0, min(1, alpha * x + beta)). torch's own has the slope 1/6 built in."""
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


def hard_swish(x: Tensor) -> Tensor:
    """HardSwish-14: x * max(0, min(1, x / 6 + 1 / 2))"""
    return functional.hardswish(x)


def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return functional.leaky_relu(x, alpha)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """The slope is broadcast to x, unlike torch's, which has one a channel."""
    return torch.where(x < 0, slope * x, x)


def selu(x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Tensor:
    return gamma * (torch.clamp(x, min=0) + alpha * torch.expm1(torch.clamp(x, max=0)))


def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return x * torch.sigmoid(alpha * x)


def over_one_axis(softmax: Callable[[Tensor, int], Tensor]) -> Callable[..., Tensor]:
    """Opset 13 and later."""

    def apply(x: Tensor, *, axis: int = -1) -> Tensor:
        return softmax(x, axis)

    return apply


def over_the_rest(softmax: Callable[[Tensor, int], Tensor]) -> Callable[..., Tensor]:
    """Before opset 13 everything from `axis` on is one distribution: [a..., b...] -> [a, b] -> softmax -> back."""

    def apply(x: Tensor, *, axis: int = 1) -> Tensor:
        split = axis % x.ndim
        return softmax(x.reshape(math.prod(x.shape[:split]), -1), 1).reshape(x.shape)

    return apply


def hardmax(x: Tensor, axis: int) -> Tensor:
    """1 at the first of the largest, 0 elsewhere."""
    return torch.zeros_like(x).scatter(axis, x.argmax(axis, keepdim=True), 1)


_softmax = functools.partial(torch.softmax, dtype=None)
_log_softmax = functools.partial(torch.log_softmax, dtype=None)

ACTIVATION: dict[Key, Entry] = {
    ("Elu", 6): Entry(elu),
    ("Gelu", 20): Entry(gelu),
    ("HardSigmoid", 6): Entry(hard_sigmoid),
    ("HardSwish", 14): Entry(hard_swish),
    ("Hardmax", 1): Entry(over_the_rest(hardmax)),
    ("Hardmax", 13): Entry(over_one_axis(hardmax)),
    ("LeakyRelu", 6): Entry(leaky_relu),
    ("LogSoftmax", 1): Entry(over_the_rest(_log_softmax)),
    ("LogSoftmax", 13): Entry(over_one_axis(_log_softmax)),
    ("PRelu", 7): Entry(prelu),
    ("Relu", 6): Entry(torch.relu),
    ("Selu", 6): Entry(selu),
    ("Sigmoid", 6): Entry(torch.sigmoid),
    ("Softmax", 1): Entry(over_the_rest(_softmax)),
    ("Softmax", 13): Entry(over_one_axis(_softmax)),
    ("Softplus", 1): Entry(functional.softplus),
    ("Softsign", 1): Entry(functional.softsign),
    ("Swish", 24): Entry(swish),
    ("Tanh", 6): Entry(torch.tanh),
}
