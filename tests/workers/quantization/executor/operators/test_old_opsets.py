"""Operators whose attributes became inputs, or whose meaning changed, as old models say them: against ONNX Runtime."""

import math
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of
from workers.quantization.executor.onnxruntime_executor import OnnxRuntimeExecutor
from workers.quantization.executor.torch_executor import TorchExecutor


def _ramp(*shape: int) -> Any:
    return np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape)


CASES: list[tuple[int, str, dict[str, Any], tuple[Any, ...]]] = [
    # opset, operator, attributes, further inputs
    (9, "Softmax", {"axis": 1}, ()),
    (12, "Softmax", {"axis": 2}, ()),
    (13, "Softmax", {"axis": 1}, ()),
    (11, "LogSoftmax", {"axis": 1}, ()),
    (11, "Softmax", {"axis": -1}, ()),
    (10, "Clip", {"min": -0.5, "max": 0.25}, ()),
    (9, "Clip", {"min": 0.0}, ()),
    (12, "Clip", {}, (np.float32(-0.5),)),
    (9, "Pad", {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 1.5}, ()),
    (9, "Pad", {"pads": [0, 0, 1, 2, 0, 0, 3, 1], "mode": "reflect"}, ()),
    (9, "Pad", {"pads": [0, 0, 1, 2, 0, 0, 3, 1], "mode": "edge"}, ()),
    (11, "Pad", {}, (np.int64([0, 0, -1, 2, 0, 0, 3, -1]), np.float32(2.0))),
    (9, "Slice", {"starts": [1, -3], "ends": [9999, -1], "axes": [2, 3]}, ()),
    (10, "Slice", {}, (np.int64([-1, 1]), np.int64([-99, 4]), np.int64([2, 3]), np.int64([-2, 2]))),
    (9, "Split", {"axis": 2, "split": [1, 4]}, ()),
    (9, "Split", {"axis": 3}, ()),
    (13, "Split", {"axis": 3}, (np.int64([1, 5]),)),
    (9, "ReduceSum", {"axes": [1, 3], "keepdims": 0}, ()),
    (9, "ReduceMean", {"axes": [-1]}, ()),
    (12, "ReduceMax", {}, ()),
    (17, "ReduceMean", {"axes": [2, 3], "keepdims": 0}, ()),
    (18, "ReduceMean", {"keepdims": 0}, (np.int64([2, 3]),)),
    (13, "ReduceSum", {"noop_with_empty_axes": 1}, ()),
    (9, "Unsqueeze", {"axes": [0, 3]}, ()),
    (13, "Unsqueeze", {}, (np.int64([-1, 0]),)),
    (9, "TopK", {"axis": 3, "k": 2}, ()),
    (10, "TopK", {"axis": 2}, (np.int64([3]),)),
    (9, "Upsample", {"mode": "nearest"}, (np.float32([1, 1, 2, 3]),)),
    (9, "Upsample", {"mode": "linear"}, (np.float32([1, 1, 2, 2]),)),
    (10, "Resize", {"mode": "linear"}, (np.float32([1, 1, 2, 0.5]),)),
    (9, "Dropout", {"ratio": 0.3}, ()),
    (9, "ArgMax", {"axis": 1, "keepdims": 0}, ()),
    (9, "Flatten", {"axis": 3}, ()),
    (9, "Concat", {"axis": 1}, (np.ones((2, 1, 5, 6), np.float32),)),
    (9, "PRelu", {}, (_ramp(3, 1, 1),)),
    (9, "LRN", {"size": 3, "alpha": 0.5}, ()),
    (9, "MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [0, 1, 1, 0]}, ()),
    (10, "MaxPool", {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1, "dilations": [2, 1]}, ()),
    (9, "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, ()),
    (9, "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}, ()),
    (9, "AveragePool", {"kernel_shape": [3, 3], "pads": [1, 0, 0, 2]}, ()),
    (9, "AveragePool", {"kernel_shape": [3, 3], "pads": [1, 0, 0, 2], "count_include_pad": 1}, ()),
    (10, "AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]}, ()),
    (19, "AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 3], "strides": [1, 2]}, ()),
    (9, "Conv", {"pads": [0, 1, 2, 0], "strides": [2, 1]}, (_ramp(2, 3, 3, 3),)),
    (9, "Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (_ramp(2, 3, 2, 2),)),
    (9, "Conv", {"group": 3, "dilations": [2, 1]}, (_ramp(3, 1, 2, 2),)),
]  # fmt: skip

TRANSPOSED: list[dict[str, Any]] = [
    {"strides": [2, 3], "pads": [1, 1, 1, 1]},
    {"strides": [2, 3], "pads": [0, 2, 1, 0]},
    {"strides": [2, 3], "output_padding": [1, 2]},
    {"strides": [2, 3], "pads": [1, 0, 1, 2], "output_padding": [1, 1], "dilations": [2, 1]},
    {"strides": [2, 2], "output_shape": [10, 13]},
    {"strides": [2, 2], "output_shape": [10, 11], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "VALID"},
]


@pytest.mark.parametrize(("opset", "operator", "attributes", "more"), CASES)
def test_an_operator_means_what_it_meant_in_its_opset(opset: int, operator: str, attributes: Any, more: Any) -> None:
    _assert_equal(opset, operator, attributes, more)


@pytest.mark.parametrize("attributes", TRANSPOSED)
def test_transposed_convolutions_place_their_outputs_alike(attributes: Any) -> None:
    _assert_equal(11, "ConvTranspose", attributes, (_ramp(3, 4, 3, 3), _ramp(4)))


@pytest.mark.parametrize("opset", [9, 11, 13])
def test_squeeze_takes_its_axes_from_where_the_opset_has_them(opset: int) -> None:
    n = helper.make_node
    axes = {"axes": [2, 3]} if opset < 13 else {}
    inputs = ["p"] if opset < 13 else ["p", "axes"]
    nodes = [n("GlobalMaxPool", ["x"], ["p"]), n("Squeeze", inputs, ["y"], **axes)]
    weights = {} if opset < 13 else {"axes": np.int64([2, 3])}
    model = model_of(nodes, weights, inputs={"x": [2, 3, 5, 6]}, outputs={"y": [2, 3]}, opset=opset, ir_version=8)
    _assert_same_outputs(model)


def _assert_equal(opset: int, operator: str, attributes: Any, more: tuple[Any, ...]) -> None:
    names = [f"i{k}" for k in range(len(more))]
    two = {"Split", "TopK"}
    outputs = ["y", "z"] if operator in two else ["y"]
    node = helper.make_node(operator, ["x", *names], outputs, **attributes)
    weights = {name: np.asarray(value) for name, value in zip(names, more, strict=True)}
    model = model_of([node], weights, inputs={"x": [2, 3, 5, 6]}, outputs={}, opset=opset, ir_version=8)
    _assert_same_outputs(model)


def _assert_same_outputs(proto: Any) -> None:
    model = ir.from_proto(proto)
    names = [v.name for v in list(model.graph)[-1].outputs]
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)}
    expected = OnnxRuntimeExecutor(model, threads=1).run(feeds, names)
    for name, got in TorchExecutor(model).run(feeds, names).items():
        assert got.dtype == expected[name].dtype
        np.testing.assert_allclose(got, expected[name], rtol=1e-5, atol=1e-6)
