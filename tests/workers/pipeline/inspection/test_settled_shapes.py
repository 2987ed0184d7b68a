from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.pipeline.inspection.settled_shapes import Shape, settled_shapes

n = helper.make_node


def shapes_of(nodes: list[onnx.NodeProto], extents: dict[str, Shape], **constants: Any) -> dict[str, Shape]:
    """Of a model whose inputs have open extents, and the one output `y`."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}{axis}" for axis in range(len(shape))])
        for name, shape in extents.items()
    ]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "open", inputs, outputs, weights)
    return settled_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), extents)


def test_a_convolution_follows_from_kernel_padding_and_stride() -> None:
    kernel = np.zeros((4, 3, 3, 3), np.float32)
    found = shapes_of([n("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])], {"x": (2, 3, 9, 10)}, w=kernel)
    assert found["y"] == (2, 4, (9 + 1 + 1 - 3) // 2 + 1, (10 + 1 + 1 - 3) // 2 + 1)
    assert found["x"] == (2, 3, 9, 10)
    assert found["w"] == (4, 3, 3, 3)


def test_a_reshape_by_what_the_graph_computes_of_a_shape_is_worked_out() -> None:
    nodes = [
        n("Shape", ["x"], ["all"]),
        n("Slice", ["all", "zero", "one"], ["batch"]),
        n("Slice", ["all", "one", "three"], ["rest"]),
        n("ReduceProd", ["rest"], ["length"], keepdims=1),
        n("Concat", ["batch", "length"], ["target"], axis=0),
        n("Reshape", ["x", "target"], ["y"]),
    ]
    found = shapes_of(nodes, {"x": (2, 3, 8)}, zero=[0], one=[1], three=[3])
    assert found["y"] == (2, 3 * 8)


def test_shapes_behind_a_reshape_that_was_worked_out_are_found_too() -> None:
    nodes = [
        n("Size", ["x"], ["count"]),
        n("Reshape", ["count", "one"], ["target"]),
        n("Reshape", ["x", "target"], ["flat"]),
        n("Concat", ["flat", "flat"], ["twice"], axis=0),
        n("Shape", ["twice"], ["extent"]),
        n("Expand", ["z", "extent"], ["y"]),
    ]
    found = shapes_of(nodes, {"x": (5, 3), "z": (1,)}, one=[1])
    assert found["flat"] == (5 * 3,)
    assert found["y"] == (2 * 5 * 3,)


@pytest.mark.parametrize(("elements", "expected"), [(64, (6,)), (65, None)])
def test_a_value_is_worked_out_up_to_sixty_four_elements(elements: int, expected: Shape | None) -> None:
    six = helper.make_tensor("six", TensorProto.INT64, [1], [6])
    nodes = [
        n("ConstantOfShape", ["many"], ["sixes"], value=six),
        n("Slice", ["sixes", "zero", "one"], ["target"]),
        n("Reshape", ["x", "target"], ["y"]),
    ]
    assert shapes_of(nodes, {"x": (2, 3)}, many=[elements], zero=[0], one=[1]).get("y") == expected


def test_the_size_of_a_tensor_that_no_machine_could_hold_is_known() -> None:
    nodes = [
        n("Expand", ["x", "huge"], ["tensor"]),
        n("Size", ["tensor"], ["count"]),
        n("Div", ["count", "huge_too"], ["two"]),
        n("Reshape", ["two", "one"], ["target"]),
        n("Reshape", ["z", "target"], ["y"]),
    ]
    found = shapes_of(nodes, {"x": (1, 1), "z": (1, 2)}, huge=[2**20, 2**21], huge_too=2**40, one=[1])
    assert found["tensor"] == (2**20, 2**21)
    assert found["y"] == (2**41 // 2**40,)


def test_a_range_as_long_as_a_stranger_says_is_not_made() -> None:
    nodes = [n("Range", ["zero", "huge", "one"], ["long"]), n("Reshape", ["x", "long"], ["y"])]
    assert "y" not in shapes_of(nodes, {"x": (2, 3)}, zero=0, huge=2**40, one=1)


def test_a_batch_of_nothing_has_shapes_like_any_other() -> None:
    nodes = [n("Shape", ["x"], ["all"]), n("ReduceProd", ["all"], ["count"], keepdims=1),
             n("Reshape", ["x", "count"], ["y"], allowzero=1)]  # fmt: skip
    assert shapes_of(nodes, {"x": (0, 3)})["y"] == (0 * 3,)


def test_what_follows_from_an_extent_without_a_number_is_left_out() -> None:
    nodes = [n("Relu", ["x"], ["y"])]
    graph = helper.make_graph(
        nodes, "open", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert settled_shapes(model, {}) == {}


def test_what_the_file_notes_of_its_results_is_not_believed() -> None:
    graph = helper.make_graph(
        [n("Relu", ["x"], ["a"]), n("Relu", ["a"], ["y"])],
        "noted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [9, 9])],
        value_info=[helper.make_tensor_value_info("a", TensorProto.FLOAT, [9, 9])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert settled_shapes(model, {"x": (4, 3)}) == {"x": (4, 3), "a": (4, 3), "y": (4, 3)}


def test_operators_that_contradict_each_other_have_no_shapes() -> None:
    found = shapes_of([n("Shape", ["x"], ["y"])], {"x": (2, 3)})  # the output is declared to hold float32
    assert found == {}


def test_an_operator_of_another_domain_is_not_worked_out() -> None:
    nodes = [n("Shape", ["x"], ["target"], domain="somebody.else"), n("Reshape", ["z", "target"], ["y"])]
    assert "y" not in shapes_of(nodes, {"x": (3, 2), "z": (2, 3)})
