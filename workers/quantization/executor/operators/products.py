"""Products with weights: convolutions, matrix products, Einsum."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from workers.quantization.executor.operators.entry import Entry, Key
from workers.quantization.executor.operators.window import (
    Pads,
    Window,
    halved,
    padded,
    paired,
    resolved_pads,
    symmetric,
    window,
)

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def convolution(  # noqa: PLR0913  # ONNX's own attributes
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """[n, in, ...], [out, in / group, ...] -> [n, out, ...]. kernel_shape only repeats the weight's."""
    over = window(kernel_shape or weight.shape[2:], strides, dilations)
    around = resolved_pads(x.shape[2:], over, auto_pad=auto_pad, pads=pads)
    run = _CONVOLUTIONS[len(over.kernel)]
    if symmetric(around):
        return run(x, weight, bias, over.strides, tuple(begin for begin, _ in around), over.dilations, group)
    return run(padded(x, around, 0), weight, bias, over.strides, 0, over.dilations, group)


def transposed_convolution(  # noqa: PLR0913  # ONNX's own attributes
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """[n, in, ...], [in, out / group, ...] -> [n, out, ...].

    The products are spread over (size - 1) * stride + reach positions; pads cut from that, and output_padding puts
    positions behind it that no product reaches, which hold the bias alone.
    """
    over = window(kernel_shape or weight.shape[2:], strides, dilations)
    extra = tuple(output_padding or (0,) * len(over.kernel))
    cuts = _cuts(x.shape[2:], over, extra, auto_pad=auto_pad, pads=pads, output_shape=output_shape)
    run = _TRANSPOSED[len(over.kernel)]
    if symmetric(cuts) and not any(extra):
        return run(x, weight, bias, over.strides, tuple(begin for begin, _ in cuts), 0, group, over.dilations)
    full = run(x, weight, None, over.strides, 0, 0, group, over.dilations)
    y = padded(full, tuple((-begin, more - end) for (begin, end), more in zip(cuts, extra, strict=True)), 0)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(over.kernel))


def _cuts(
    sizes: Sequence[int],
    over: Window,
    extra: Sequence[int],
    *,
    auto_pad: str,
    pads: Sequence[int] | None,
    output_shape: Sequence[int] | None,
) -> Pads:
    """What is cut from each end, from the shape that is wanted if there is one. Source: ConvTranspose-11."""
    wanted = output_shape
    if wanted is None and auto_pad.startswith("SAME"):
        wanted = [size * stride for size, stride in zip(sizes, over.strides, strict=True)]
    if wanted is None:
        return paired(None if auto_pad == "VALID" else pads, len(sizes))
    axes = zip(sizes, over.strides, over.reach, extra, wanted[-len(sizes) :], strict=True)
    totals = [stride * (size - 1) + more + reach - want for size, stride, reach, more, want in axes]
    return tuple(halved(total, auto_pad=auto_pad) for total in totals)


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803  # ONNX's name
    transB: int = 0,  # noqa: N803
) -> Tensor:
    """Gemm-7: alpha * a b + beta * c"""
    product = (a.T if transA else a) @ (b.T if transB else b)
    product = product if alpha == 1 else alpha * product
    return product if c is None else product + (c if beta == 1 else beta * c)


def integer_product(a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None) -> Tensor:
    """MatMulInteger-10, summed in int32. a_zero is one number or one a row, b_zero one number or one a column."""
    left, right = a.int(), b.int()
    if a_zero is not None:
        left = left - (a_zero.int().unsqueeze(-1) if a_zero.ndim == 1 and a_zero.numel() > 1 else a_zero.int())
    if b_zero is not None:
        right = right - b_zero.int()
    return left @ right


def einsum(*tensors: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *tensors)


PRODUCTS: dict[Key, Entry] = {
    ("Conv", 1): Entry(convolution),
    ("ConvTranspose", 1): Entry(transposed_convolution),
    ("Einsum", 12): Entry(einsum),
    ("Gemm", 7): Entry(gemm),
    ("MatMul", 1): Entry(torch.matmul),
    ("MatMulInteger", 10): Entry(integer_product),
}
