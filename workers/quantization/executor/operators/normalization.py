"""Bringing values to mean zero and variance one, over whichever axes."""

import torch
from torch import Tensor
from torch.nn import functional

from workers.quantization.executor.operators.entry import Attributes, Entry, Key


def batch_norm(  # noqa: PLR0913  # ONNX's own attributes
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
) -> Tensor:
    """Inference: the four parameters are constants, one a channel. In torch mean and variance have no gradient."""
    del momentum, spatial, training_mode
    return functional.batch_norm(x, mean.detach(), variance.detach(), scale, bias, training=False, eps=epsilon)


def _refuses_training(attributes: Attributes) -> str | None:
    if attributes.get("training_mode"):
        return "training_mode = 1 updates its own parameters"
    return (
        None if attributes.get("spatial", 1) else "spatial = 0, parameters for every position, left ONNX with opset 9"
    )


def instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Over the spatial axes: a group norm whose groups are single channels."""
    return functional.group_norm(x, x.shape[1], scale, bias, epsilon)


def group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """[n, groups * k, ...]. GroupNormalization-21: one scale a channel."""
    del stash_type
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


def group_norm_by_group(x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    """GroupNormalization-18: one scale a group."""
    each = x.shape[1] // num_groups
    return functional.group_norm(x, num_groups, scale.repeat_interleave(each), bias.repeat_interleave(each), epsilon)


def layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    output_count: int,
) -> object:
    """Over all axes from `axis` on; mean and 1 / standard deviation are further outputs, in float32."""
    del stash_type
    shape = x.shape[axis:]
    if scale.shape != shape or (bias is not None and bias.shape != shape):
        scale = scale.expand(shape)
        bias = None if bias is None else bias.expand(shape)
    y = functional.layer_norm(x, shape, scale, bias, epsilon)
    if output_count == 1:
        return y
    variance, mean = torch.var_mean(x.float(), tuple(range(-len(shape), 0)), correction=0, keepdim=True)
    return y, mean, torch.rsqrt(variance + epsilon)


def rms_norm(x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Tensor:
    """RMSNormalization-23: x / sqrt(mean(x^2) + epsilon) * scale, over all axes from `axis` on."""
    del stash_type
    return functional.rms_norm(x, x.shape[axis:], None, epsilon) * scale


def lp_norm(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """LpNormalization-1: x / |x|_p along one axis; zeros stay zeros."""
    length = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return torch.where(length == 0, torch.zeros_like(x), x / torch.where(length == 0, torch.ones_like(length), length))


def local_response_norm(x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """LRN-1: x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels) ^ beta"""
    before = (size - 1) // 2
    squares = functional.pad((x * x).flatten(2), (0, 0, before, size - 1 - before))  # [n, c + size - 1, ...]
    total = squares.unfold(1, size, 1).sum(-1).reshape(x.shape)
    return x / (bias + alpha / size * total) ** beta


NORMALIZATION: dict[Key, Entry] = {
    ("BatchNormalization", 9): Entry(batch_norm, refuses=_refuses_training),
    ("GroupNormalization", 18): Entry(group_norm_by_group),
    ("GroupNormalization", 21): Entry(group_norm),
    ("InstanceNormalization", 6): Entry(instance_norm),
    ("LayerNormalization", 17): Entry(layer_norm),
    ("LpNormalization", 1): Entry(lp_norm),
    ("LRN", 1): Entry(local_response_norm),
    ("RMSNormalization", 23): Entry(rms_norm),
}
