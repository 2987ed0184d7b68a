"""Constants go back to the half precision that they came in, and to nothing less."""

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.passes.store_in_half import HALF_TYPES, store_in_half

n = helper.make_node
RNG = np.random.default_rng(0)
HALF, BRAIN = HALF_TYPES
X = RNG.normal(size=(3, 32)).astype(np.float32)


def weight(dtype: Any) -> Any:
    return RNG.normal(size=(32, 16)).astype(dtype).astype(np.float32)


@pytest.mark.parametrize(
    ("stored", "types", "expected"),
    [
        (weight(np.float16), [HALF], ir.DataType.FLOAT16),
        (weight(ml_dtypes.bfloat16), [BRAIN], ir.DataType.BFLOAT16),
        (weight(ml_dtypes.bfloat16) * 2.0**100, [HALF, BRAIN], ir.DataType.BFLOAT16),
        (weight(np.float16), [], ir.DataType.FLOAT),  # the upload stores none
        (weight(np.float32), [HALF, BRAIN], ir.DataType.FLOAT),  # digits would be lost
    ],
)
def test_a_constant_is_stored_in_the_half_type_that_holds_all_of_it(stored: Any, types: Any, expected: Any) -> None:
    stored = np.asarray(stored, np.float32)
    nodes = [n("MatMul", ["x", "w"], ["y"], name="product")]
    model = model_of(nodes, {"w": stored}, inputs={"x": ["n", 32]}, outputs={"y": ["n", 16]})
    graph = ir.from_proto(model)
    touched = store_in_half(graph, types)
    assert (touched == ["w"]) is (expected != ir.DataType.FLOAT)
    (kept,) = graph.graph.initializers.values()
    assert kept.const_value is not None
    assert kept.const_value.dtype == expected
    one, other = (
        OnnxRuntimeSession(proto.SerializeToString(), threads=1).run({"x": X})["y"]
        for proto in (model, ir.to_proto(graph))
    )
    np.testing.assert_array_equal(other, one)
