import numpy as np
import onnx_ir as ir
import pytest
import torch

from workers.quantization.executor.element_types import (
    TORCH_OF_ONNX,
    ElementTypeNotSupported,
    to_numpy,
    to_torch,
    torch_type,
)


@pytest.mark.parametrize("kind", list(TORCH_OF_ONNX), ids=lambda kind: ir.DataType(kind).name)
def test_an_array_crosses_to_torch_and_back_unchanged(kind: int) -> None:
    array = np.arange(6).reshape(2, 3).astype(ir.DataType(kind).numpy())
    tensor = to_torch(array)
    assert tensor.dtype == torch_type(kind)
    assert tensor.double().tolist() == array.astype(np.float64).tolist()
    back = to_numpy(tensor)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back.astype(np.float64), array.astype(np.float64))


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_arrays_that_are_not_contiguous_or_have_no_axis_keep_their_values(kind: str) -> None:
    dtype = ir.DataType[{"float32": "FLOAT", "bfloat16": "BFLOAT16"}[kind]].numpy()
    array = np.arange(6).reshape(2, 3).astype(dtype).T
    assert to_torch(array).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert to_torch(np.asarray(2.0, dtype)).shape == ()
    assert to_numpy(torch.arange(6.0).reshape(2, 3).T).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_the_tensor_has_memory_of_its_own() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False  # as a mapped file is
    tensor = to_torch(array)
    tensor += 1
    assert array.tolist() == [0.0, 0.0, 0.0]


def test_types_that_torch_does_not_compute_with_are_named() -> None:
    with pytest.raises(ElementTypeNotSupported, match="int4"):
        torch_type(ir.DataType.INT4)
    with pytest.raises(ElementTypeNotSupported, match="float8_e4m3fn"):
        to_torch(np.zeros(2, ir.DataType.FLOAT8E4M3FN.numpy()))


def test_a_tensor_that_needs_a_gradient_can_be_read() -> None:
    assert to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]
