from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from workers.quantization.packing import CodesDoNotFit, pack_int4, unpack_int4

KINDS = [
    ("int4", np.int8, ml_dtypes.int4, onnx.TensorProto.INT4, (-8, 8)),
    ("uint4", np.uint8, ml_dtypes.uint4, onnx.TensorProto.UINT4, (0, 16)),
]


@pytest.mark.parametrize(("dtype", "storage", "element", "kind", "limits"), KINDS)
@pytest.mark.parametrize("shape", [(16,), (7,), (3, 5, 7), (1,), (0,), ()])
def test_bytes_are_those_that_onnx_writes_and_reads(
    dtype: Any, storage: Any, element: Any, kind: Any, limits: Any, shape: Any
) -> None:
    codes = np.random.default_rng(0).integers(*limits, size=shape).astype(storage)
    written = numpy_helper.from_array(np.asarray(codes.astype(element)), "w")
    assert written.data_type == kind
    assert pack_int4(np.asarray(codes)).tobytes() == written.raw_data

    ours = onnx.TensorProto(data_type=kind, dims=shape, raw_data=pack_int4(np.asarray(codes)).tobytes())
    np.testing.assert_array_equal(numpy_helper.to_array(ours).astype(storage), codes)


@pytest.mark.parametrize(("dtype", "storage", "element", "kind", "limits"), KINDS)
def test_unpacking_gives_every_code_back(dtype: Any, storage: Any, element: Any, kind: Any, limits: Any) -> None:
    codes = np.tile(np.arange(*limits), 3)[:45].astype(storage).reshape(5, 9)
    unpacked = unpack_int4(pack_int4(codes), shape=(5, 9), dtype=dtype)
    np.testing.assert_array_equal(unpacked, codes)
    assert unpacked.dtype == storage


def test_the_first_code_lies_in_the_low_nibble() -> None:
    # -1 is 0b1111, 3 is 0b0011; the third code, -8, is 0b1000 and stands alone
    assert pack_int4(np.int8([-1, 3, -8])).tolist() == [0x3F, 0x08]


def test_a_transposed_matrix_is_packed_in_the_order_that_it_shows() -> None:
    codes = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert pack_int4(codes.T).tolist() == pack_int4(codes.T.copy()).tolist()


@pytest.mark.parametrize("codes", [np.int8([8]), np.int8([-9]), np.uint8([16])])
def test_codes_beyond_four_bits_are_refused(codes: Any) -> None:
    with pytest.raises(CodesDoNotFit):
        pack_int4(codes)
