"""Target shapes that are the same for every input become constants."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.quantization.executor.onnxruntime_session import loaded
from workers.quantization.passes.fold_reshape_targets import fold_reshape_targets

CONSTANTS = {
    "axis": np.array([0]), "zero": np.array(0), "one": np.array(1), "heads": np.array([2]), "width": np.array([3]),
    "six": np.array([6]), "w": np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32),
}  # fmt: skip


def split_into_heads(*pieces: str, source: str = "x", shape: tuple[Any, ...] = ("batch", "tokens", 6)) -> ir.Model:
    """Reshape(x @ w, Concat(pieces)), where batch and tokens are read from the shape of `source`."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Shape", [source], ["shape"])]
    for name, index in (("batch", "zero"), ("tokens", "one")):
        nodes.append(helper.make_node("Gather", ["shape", index], [f"{name}_number"]))
        nodes.append(helper.make_node("Unsqueeze", [f"{name}_number", "axis"], [name]))
    nodes.append(helper.make_node("Concat", list(pieces), ["target"], axis=0))
    nodes.append(helper.make_node("Reshape", ["h", "target"], ["y"], name="reshape"))
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("other", TensorProto.FLOAT, ["rows", "columns"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    constants = [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items()]
    graph = helper.make_graph(nodes, "heads", inputs, outputs, constants)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9))


def output(model: ir.Model, batch: int, tokens: int) -> Any:
    feeds = {
        "x": np.random.default_rng(1).normal(size=(batch, tokens, 6)).astype(np.float32),
        "other": np.zeros((batch, tokens), np.float32),
    }
    return loaded(model, threads=1).run(feeds)["y"]


def target_of(model: ir.Model) -> list[int] | None:
    (reshape,) = [node for node in model.graph if node.op_type == "Reshape"]
    value = reshape.inputs[1].const_value
    return None if value is None else value.numpy().tolist()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("batch", "tokens", "heads", "width"), [0, 0, 2, 3]),
        (("batch", "tokens", "six"), [0, 0, 6]),
        (("heads", "width", "batch", "tokens"), None),  # on other axes than their own, and two of them
        (("batch", "heads", "tokens", "width"), [0, 2, -1, 3]),  # one that moved can be worked out
    ],
)
def test_extents_on_their_own_axis_become_zeros(pieces: tuple[str, ...], expected: list[int] | None) -> None:
    model = split_into_heads(*pieces)
    before = [output(model, *extents) for extents in ((1, 1), (2, 5))]
    assert fold_reshape_targets(model) == ([] if expected is None else ["reshape"])
    assert target_of(model) == expected
    for reference, extents in zip(before, ((1, 1), (2, 5)), strict=True):
        np.testing.assert_array_equal(output(model, *extents), reference)


def test_the_operators_that_worked_the_target_out_are_gone() -> None:
    model = split_into_heads("batch", "tokens", "heads", "width")
    fold_reshape_targets(model)
    assert [node.op_type for node in model.graph] == ["MatMul", "Reshape"]
    onnx.checker.check_model(ir.to_proto(model))


def test_extents_of_a_tensor_that_need_not_agree_are_left_alone() -> None:
    model = split_into_heads("batch", "tokens", "six", source="other")
    assert fold_reshape_targets(model) == []
    assert target_of(model) is None


def test_fixed_extents_are_written_as_numbers() -> None:
    model = split_into_heads("batch", "tokens", "heads", "width", shape=(4, 5, 6))
    fold_reshape_targets(model)
    assert target_of(model) == [4, 5, 2, 3]
