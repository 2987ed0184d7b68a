"""Operators that name some axes, written for all: the same answers, and nothing for a layout pass to stumble over."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.passes.all_axes import all_axes

n = helper.make_node
X = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)

PADS = {
    "the last two": ({"p": [1, 0, 2, 1], "a": [2, 3]}, {}),
    "from the end": ({"p": [1, 2], "a": [-1]}, {"mode": "reflect"}),
    "the channels": ({"p": [1, 1], "a": [1]}, {"mode": "edge"}),
    "in another order": ({"p": [1, 2, 0, 1], "a": [3, 1]}, {}),
    "negative": ({"p": [-1, 2], "a": [2]}, {}),
}
RESIZES = {
    "scales": ("", "s", {"s": np.array([2.0, 1.5], np.float32)}, {"axes": [2, 3]}),
    "scales from the end": ("", "s", {"s": np.array([2.0], np.float32)}, {"axes": [-1], "mode": "linear"}),
    "sizes": ("s", "", {"s": np.array([7, 3])}, {"axes": [2, 3], "mode": "linear"}),
}


def held_to_the_same(model: Any, opset: int = 18) -> Any:
    graph = ir.from_proto(model)
    touched = all_axes(graph)
    changed = ir.to_proto(graph)
    one, other = (OnnxRuntimeSession(m.SerializeToString(), threads=1).run({"x": X}) for m in (model, changed))
    np.testing.assert_array_equal(other["y"], one["y"])
    return touched, graph


@pytest.mark.parametrize("how", PADS)
@pytest.mark.parametrize("value", [True, False])
def test_a_pad_has_an_entry_for_each_axis(how: str, *, value: bool) -> None:
    arrays, attributes = PADS[how]
    stored = {name: np.array(array, np.int64) for name, array in arrays.items()} | {"v": np.float32(7)}
    pad = n("Pad", ["x", "p", "v" if value else "", "a"], ["y"], name="pad", **attributes)
    stored = {k: np.asarray(v) for k, v in stored.items() if k in pad.input}
    model = model_of([pad], stored, inputs={"x": ["n", 3, 4, 5]}, outputs={"y": [None] * 4}, opset=18)
    touched, graph = held_to_the_same(model)
    assert touched == ["pad"]
    (node,) = graph.graph
    assert len(node.inputs) == (3 if value else 2)
    assert node.inputs[1].const_value.size == 8


@pytest.mark.parametrize("how", RESIZES)
def test_a_resize_has_an_entry_for_each_axis(how: str) -> None:
    sizes, scales, stored, attributes = RESIZES[how]
    resize = n("Resize", ["x", "", scales, sizes] if sizes else ["x", "", scales], ["y"], name="resize", **attributes)
    model = model_of([resize], stored, inputs={"x": ["n", 3, 4, 5]}, outputs={"y": [None] * 4}, opset=18)
    touched, graph = held_to_the_same(model)
    assert touched == ["resize"]
    assert "axes" not in next(node for node in graph.graph if node.op_type == "Resize").attributes


def test_pads_that_are_computed_are_spread_when_the_model_runs() -> None:
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Gather", ["s", "two"], ["p"], axis=0),
        n("Pad", ["x", "p", "", "a"], ["y"], name="pad"),
    ]
    stored = {"two": np.array([0, 1]), "a": np.array([3])}
    model = model_of(nodes, stored, inputs={"x": ["n", 3, 4, 5]}, outputs={"y": [None] * 4}, opset=18)
    assert held_to_the_same(model)[0] == ["pad"]


def test_a_resize_that_keeps_the_aspect_ratio_stays() -> None:
    resize = n("Resize", ["x", "", "", "s"], ["y"], axes=[2, 3], keep_aspect_ratio_policy="not_larger")
    model = model_of(
        [resize], {"s": np.array([8, 8])}, inputs={"x": ["n", 3, 4, 5]}, outputs={"y": [None] * 4}, opset=18
    )
    assert held_to_the_same(model)[0] == []
