import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.quantization.placement.data_flow import values_with_data

n = helper.make_node

MADE_OF_TOKENS = [
    n("Cast", ["mask"], ["mask_as_float"], to=TensorProto.FLOAT),
    n("Sub", ["one", "mask_as_float"], ["padding"]),
    n("Mul", ["padding", "lowest"], ["penalty"]),
    n("Gather", ["table", "mask"], ["found"]),
]
MADE_OF_IMAGES = [
    n("Relu", ["image"], ["rectified"]),
    n("Shape", ["image"], ["shape"]),
    n("Cast", ["shape"], ["shape_as_float"], to=TensorProto.FLOAT),
    n("Greater", ["image", "one"], ["bright"]),
    n("Cast", ["bright"], ["bright_as_float"], to=TensorProto.FLOAT),
    n("Cast", ["image"], ["steps"], to=TensorProto.INT64),
    n("Cast", ["steps"], ["steps_as_float"], to=TensorProto.FLOAT),
    n("Where", ["bright", "rectified", "lowest"], ["masked"]),
    n("Add", ["rectified", "penalty"], ["sum"]),
]


@pytest.fixture(scope="module")
def data() -> set[str]:
    constants = {"one": np.ones(1), "lowest": np.array([-1e4]), "table": np.ones((8, 4))}
    graph = helper.make_graph(
        [*MADE_OF_TOKENS, *MADE_OF_IMAGES],
        "flow",
        [
            helper.make_tensor_value_info("mask", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n"]),
        ],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in constants.items()],
    )
    return values_with_data(ir.from_proto(helper.make_model(graph)).graph)


def test_data_is_what_tables_and_float_inputs_hold_and_what_is_computed_from_it(data: set[str]) -> None:
    assert data >= {"image", "rectified", "found", "masked", "sum"}


def test_masks_positions_and_shapes_are_no_data(data: set[str]) -> None:
    assert data.isdisjoint({"mask", "mask_as_float", "padding", "penalty"})
    assert data.isdisjoint({"shape", "shape_as_float", "bright", "bright_as_float", "steps", "steps_as_float"})
