import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.small_models import two_matmuls
from workers.quantization.graph.skeleton import tensor_bytes, without_weights


def test_weights_become_inputs_and_come_back() -> None:
    model = two_matmuls()
    before = model.SerializeToString()
    skeleton = without_weights(model)
    # w1 takes 4 * 16 * 32 = 2048 bytes; w2 4 * 32 * 4 = 512 and b 16, which stay
    assert [w.name for w in skeleton.weights] == ["w1"]
    assert [i.name for i in skeleton.model.graph.input] == ["x", "w1"]
    assert [i.name for i in skeleton.model.graph.initializer] == ["w2", "b"]
    onnx.checker.check_model(skeleton.model, full_check=True)
    completed = skeleton.completed(skeleton.model)
    assert [i.name for i in completed.graph.input] == ["x"]
    assert {i.name: i for i in completed.graph.initializer} == {i.name: i for i in model.graph.initializer}
    assert model.SerializeToString() == before


def test_a_weight_that_is_listed_as_an_input_stays_listed() -> None:
    model = two_matmuls()
    model.graph.input.insert(0, helper.make_tensor_value_info("w1", TensorProto.FLOAT, [16, 32]))
    skeleton = without_weights(model)
    assert [i.name for i in skeleton.model.graph.input] == ["w1", "x"]
    assert [i.name for i in skeleton.completed(skeleton.model).graph.input] == ["w1", "x"]


@pytest.mark.parametrize(
    ("data_type", "dims", "expected"),
    [
        (TensorProto.FLOAT, [3, 5], 60),
        (TensorProto.BFLOAT16, [7], 14),
        (TensorProto.INT4, [5], 3),  # two in a byte
        (TensorProto.BOOL, [], 1),
        (TensorProto.COMPLEX128, [2], 32),
        (TensorProto.DOUBLE, [0, 9], 0),
    ],
)
def test_what_values_take(data_type: int, dims: list[int], expected: int) -> None:
    assert tensor_bytes(TensorProto(data_type=data_type, dims=dims)) == expected


def test_every_known_type_takes_what_onnx_writes() -> None:
    for data_type in set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING}:
        dtype = helper.tensor_dtype_to_np_dtype(data_type)
        tensor = numpy_helper.from_array(np.zeros(9, dtype))
        assert tensor_bytes(tensor) == len(tensor.raw_data), TensorProto.DataType.Name(data_type)
