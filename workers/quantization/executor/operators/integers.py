"""QuantizeLinear and DequantizeLinear, whole, per axis and in blocks.

    q = clamp(round_half_even(x / scale) + zero_point)        x' = (q - zero_point) * scale

Rounding has no useful gradient: torch gives zero. Training replaces these pairs by fake-quantize.
"""

import torch
from torch import Tensor

from workers.quantization.executor.element_types import TORCH_OF_ONNX, torch_type
from workers.quantization.executor.operators.entry import Attributes, Entry, Key


def quantize_linear(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    """The type is the zero point's, or output_dtype, or uint8. saturate is about 8-bit floats, which are refused."""
    del saturate
    dtype = zero_point.dtype if zero_point is not None else torch_type(output_dtype) if output_dtype else torch.uint8
    wide = torch_type(precision) if precision else x.dtype
    steps = torch.round(x.to(wide) / _spread(scale, x, axis, block_size).to(wide))
    if zero_point is not None:
        steps = steps + _spread(zero_point, x, axis, block_size).to(steps.dtype)
    limits = torch.iinfo(dtype)
    return steps.clamp(limits.min, limits.max).to(torch.int64).to(dtype)


def dequantize_linear(
    q: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:
    """The result has the type of the scale unless output_dtype says another."""
    codes = q.to(torch.int64)
    if zero_point is not None:
        codes = codes - _spread(zero_point, q, axis, block_size).to(torch.int64)
    values = codes.to(scale.dtype) * _spread(scale, q, axis, block_size)
    return values.to(torch_type(output_dtype)) if output_dtype else values


def _spread(qparams: Tensor, x: Tensor, axis: int, block_size: int) -> Tensor:
    """One number: as it is. One an index of `axis`: [n] -> [1, n, 1]. Blocks: each repeated over its block."""
    if qparams.numel() == 1 and not block_size:
        return qparams.reshape(())
    if block_size:
        return qparams.repeat_interleave(block_size, axis).narrow(axis, 0, x.shape[axis])
    return qparams.reshape([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])


def _refuses_type(attributes: Attributes) -> str | None:
    wanted = attributes.get("output_dtype", 0)
    return None if not wanted or wanted in TORCH_OF_ONNX else f"torch does not compute with ONNX type {wanted}"


INTEGERS: dict[Key, Entry] = {
    ("DequantizeLinear", 10): Entry(dequantize_linear, refuses=_refuses_type),
    ("QuantizeLinear", 10): Entry(quantize_linear, refuses=_refuses_type),
}
