"""A convolution's window as its attributes say, with ONNX's defaults filled in."""

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.observers import Window, convolution_rows
from workers.quantization.observers.window import WindowNotStatic, window_of


def convolution(weight: Any, shape: Any, **attributes: Any) -> Any:
    weights = random_weights(np.random.default_rng(0), w=weight)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **attributes)
    rank = len(shape)
    return model_of([node], weights, inputs={"x": shape}, outputs={"y": [f"d{i}" for i in range(rank)]}), weights["w"]


def node_of(model: Any) -> ir.Node:
    return ir.from_proto(model).graph.node("conv")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, Window((3, 2), (1, 1), (1, 1), (0, 0, 0, 0))),
        ({"auto_pad": "VALID"}, Window((3, 2), (1, 1), (1, 1), (0, 0, 0, 0))),
        ({"auto_pad": "NOTSET", "pads": [1, 0, 2, 1]}, Window((3, 2), (1, 1), (1, 1), (1, 0, 2, 1))),
        ({"strides": [2, 1], "dilations": [1, 2]}, Window((3, 2), (2, 1), (1, 2), (0, 0, 0, 0))),
        ({"kernel_shape": [3, 2]}, Window((3, 2), (1, 1), (1, 1), (0, 0, 0, 0))),
    ],
)
def test_attributes_and_their_defaults(attributes: Any, expected: Window) -> None:
    assert window_of(node_of(convolution((4, 3, 3, 2), [2, 3, 8, 9], **attributes)[0])) == expected


def test_one_axis_and_groups() -> None:
    model, _ = convolution((6, 2, 5), [2, 4, 20], group=2, pads=[2, 2])
    assert window_of(node_of(model)) == Window((5,), (1,), (1,), (2, 2), 2)


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER"])
def test_padding_that_depends_on_the_input_is_not_known_beforehand(padding: str) -> None:
    with pytest.raises(WindowNotStatic, match="conv"):
        window_of(node_of(convolution((4, 3, 3, 3), [2, 3, 8, 9], auto_pad=padding)[0]))


def test_rows_of_the_window_give_the_convolution() -> None:
    model, weight = convolution(
        (6, 2, 3, 2), [2, 4, 7, 8], group=2, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]
    )
    x = np.random.default_rng(1).normal(size=(2, 4, 7, 8)).astype(np.float32)
    rows = convolution_rows(x, window_of(node_of(model)))
    filters = np.moveaxis(weight, 1, -1).reshape(2, 3, -1)  # [groups, channels, kh * kw * C/g]
    found = np.einsum("gpk,gck->gcp", rows, filters).reshape(6, 2, -1).swapaxes(0, 1)
    (expected,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
