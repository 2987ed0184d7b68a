"""The same numbers as ONNX, numpy and torch call them."""

import numpy as np
import onnx_ir as ir
import torch

from workers.quantization.executor.executor import Array

TORCH_OF_ONNX: dict[int, torch.dtype] = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.UINT16: torch.uint16,
    ir.DataType.UINT32: torch.uint32,
    ir.DataType.UINT64: torch.uint64,
    ir.DataType.BOOL: torch.bool,
}
"""Left out: strings, complex numbers and the types of 4 and 8 bits that torch cannot compute with."""


class ElementTypeNotSupported(TypeError):
    """torch does not compute with numbers of this type."""


def torch_type(onnx_type: int) -> torch.dtype:
    """Raises ElementTypeNotSupported."""
    try:
        return TORCH_OF_ONNX[onnx_type]
    except KeyError:
        name = ir.DataType(onnx_type).name.lower()
        raise ElementTypeNotSupported(f"torch does not compute with {name}") from None


def to_torch(array: Array) -> torch.Tensor:
    """A tensor of its own memory. numpy knows bfloat16 only as a guest, so it crosses as bits.

    Raises ElementTypeNotSupported.
    """
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
    try:
        return torch.from_numpy(np.array(array, order="C"))
    except TypeError as error:
        raise ElementTypeNotSupported(f"torch does not compute with {array.dtype.name}") from error


def to_numpy(tensor: torch.Tensor) -> Array:
    """The values on the host; bfloat16 comes out as ONNX's own numpy type for it."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ir.DataType.BFLOAT16.numpy())
    result: Array = tensor.numpy()
    return result
