from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.ingestion.onnx_model.description import describe

n = helper.make_node
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(kind: str, *before: onnx.NodeProto, read: str = "x", **attributes: Any) -> tuple[str, ...]:
    """An operator of 5 units that reads `read`; x is [7 steps, 2, 4], and ids are [7, 2]."""
    rng = np.random.default_rng(0)
    shapes = {"W": (1, 5 * GATES[kind], 4), "R": (1, 5 * GATES[kind], 5), "m": (4, 4), "table": (9, 4)}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in shapes.items()]
    graph = helper.make_graph(
        [*before, n(kind, [read, "W", "R"], ["y"], hidden_size=5, **attributes)],
        "recurrent",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [7, 2, 4]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, [7, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["?", "?", "?", "?"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return describe(model).time_first


@pytest.mark.parametrize("kind", sorted(GATES))
def test_what_a_recurrent_operator_reads_has_its_steps_first(kind: str) -> None:
    assert recurrent(kind) == ("x",)


def test_steps_are_followed_through_what_keeps_the_axes() -> None:
    before = (n("MatMul", ["x", "m"], ["a"]), n("Relu", ["a"], ["b"]))
    assert recurrent("GRU", *before, read="b") == ("x",)
    assert recurrent("GRU", n("Gather", ["table", "ids"], ["e"]), read="e") == ("ids",)


@pytest.mark.parametrize(
    "before",
    [
        n("Transpose", ["x"], ["b"], perm=[1, 0, 2]),  # samples were first
        n("Mul", ["x", "x"], ["b"]),  # not followed
        n("Gather", ["x", "ids"], ["b"], axis=1),
    ],
)
def test_other_first_axes_are_not_time(before: onnx.NodeProto) -> None:
    assert recurrent("GRU", before, read="b") == ()


def test_with_the_other_layout_samples_are_first() -> None:
    assert recurrent("GRU", layout=1) == ()
