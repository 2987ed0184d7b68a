"""Weights behind operators come to the front, and what a caller sees stays what it was."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.small_models import model_of
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.passes.fold_constants import fold_constants
from workers.quantization.passes.lift_constants import lift_constants

n = helper.make_node
RNG = np.random.default_rng(0)
W = RNG.normal(size=(6, 4)).astype(np.float32)
X = RNG.normal(size=(3, 6)).astype(np.float32)


def lifted(model: onnx.ModelProto) -> onnx.ModelProto:
    return ir.to_proto(lift_constants(ir.from_proto(model)))


def answers(model: onnx.ModelProto, **feeds: Any) -> dict[str, Any]:
    return OnnxRuntimeSession(model.SerializeToString(), threads=1).run(feeds)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def assert_same(model: onnx.ModelProto, **feeds: Any) -> onnx.ModelProto:
    found = lifted(model)
    onnx.checker.check_model(found)
    expected, actual = answers(model, **feeds), answers(found, **feeds)
    assert list(actual) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)
    return found


# weights as exporters leave them: name -> (nodes that make "w" of what is stored, what is stored)
HIDDEN: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "stored in half precision": ([n("Cast", ["s"], ["w"], to=TensorProto.FLOAT)], {"s": W.astype(np.float16)}),
    "transposed": ([n("Transpose", ["s"], ["w"])], {"s": W.T.copy()}),
    "reshaped": ([n("Reshape", ["s", "to"], ["w"])], {"s": W.reshape(2, 12), "to": np.array([6, -1])}),
    "scaled": ([n("Mul", ["s", "by"], ["w"])], {"s": W, "by": np.float32(0.5)}),
    "put together": ([n("Concat", ["s", "t"], ["w"], axis=0)], {"s": W[:2], "t": W[2:]}),
    "one of a split": ([n("Split", ["s", "at"], ["w", "rest"], axis=1)], {"s": np.c_[W, W], "at": np.array([4, 4])}),
    "in integers by hand": (
        [
            n("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
            n("Sub", ["f", "zero"], ["c"]),
            n("Mul", ["c", "step"], ["w"]),
        ],
        {"s": np.arange(24, dtype=np.int8).reshape(6, 4), "zero": np.float32(3), "step": np.float32(0.1)},
    ),
    "with its norm apart": (
        [
            n("ReduceL2", ["s"], ["norm"], axes=[0], keepdims=1),
            n("Div", ["s", "norm"], ["unit"]),
            n("Mul", ["unit", "g"], ["w"]),
        ],
        {"s": W, "g": np.linspace(0.5, 2, 4, dtype=np.float32)},
    ),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_weight_that_follows_from_constants_becomes_one(how: str) -> None:
    nodes, stored = HIDDEN[how]
    stored = {name: np.asarray(array) for name, array in stored.items()}
    model = model_of([*nodes, n("MatMul", ["x", "w"], ["y"])], stored, inputs={"x": ["n", 6]}, outputs={"y": ["n", 4]})
    assert operators(assert_same(model, x=X)) == ["MatMul"]


@pytest.mark.parametrize(
    ("nodes", "stored"),
    [
        # drawn anew in every run
        ([n("RandomNormalLike", ["s"], ["w"], seed=1.0)], {"s": W}),
        # a constant of four bytes that would become a gigabyte
        ([n("Expand", ["s", "to"], ["big"]), n("ReduceSum", ["big"], ["w"], keepdims=0)],
         {"s": np.float32(1), "to": np.array([16384, 16384])}),
    ],
)  # fmt: skip
def test_what_is_random_or_grows_beyond_measure_stays(nodes: Any, stored: Any) -> None:
    stored = {name: np.asarray(array) for name, array in stored.items()}
    model = model_of([*nodes, n("Mul", ["x", "w"], ["y"])], stored, inputs={"x": [6, 4]}, outputs={"y": [6, 4]})
    graph = ir.from_proto(model)
    assert fold_constants(graph) == []


def test_constants_that_double_again_and_again_are_bounded_together() -> None:
    doubling = [n("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(18)]
    nodes = [*doubling, n("ReduceMax", ["c18"], ["m"], keepdims=0), n("Mul", ["x", "m"], ["y"])]
    start = {"c0": np.ones((1024, 4), np.float32)}
    graph = ir.from_proto(model_of(nodes, start, inputs={"x": ["n"]}, outputs={"y": ["n"]}))
    fold_constants(graph)
    assert sum(v.const_value.nbytes for v in graph.graph.initializers.values() if v.const_value) <= 64 << 20
    assert any(node.op_type == "Concat" for node in graph.graph)


def test_outputs_that_follow_from_constants_are_still_given_out() -> None:
    nodes = [n("Transpose", ["s"], ["t"]), n("MatMul", ["x", "s"], ["y"])]
    model = model_of(nodes, {"s": W}, inputs={"x": ["n", 6]}, outputs={"y": ["n", 4], "t": [4, 6]})
    assert_same(model, x=X)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([n("MatMul", ["x", "s"], ["a"]), n("Identity", ["a"], ["b"])], ["a", "b"]),
        ([n("MatMul", ["x", "s"], ["a"]), n("Identity", ["a"], ["b"]), n("Identity", ["a"], ["c"])], ["b", "c"]),
        ([n("MatMul", ["x", "s"], ["a"]), n("Identity", ["a"], ["b"]), n("Identity", ["b"], ["c"])], ["a", "b", "c"]),
        ([n("MatMul", ["x", "s"], ["a"]), n("Identity", ["a"], ["b"]), n("Relu", ["a"], ["c"])], ["b", "c"]),
    ],
)
def test_two_outputs_of_one_value_keep_their_names(nodes: Any, outputs: list[str]) -> None:
    model = model_of(nodes, {"s": W}, inputs={"x": ["n", 6]}, outputs={name: ["n", 4] for name in outputs})
    assert_same(model, x=X)


def scanned(body_nodes: Any) -> onnx.ModelProto:
    """Two steps of a Scan whose body hands its state out as `state` and, of each step, `step`."""
    number = TensorProto.FLOAT
    body = helper.make_graph(
        body_nodes,
        "body",
        [helper.make_tensor_value_info(name, number, ["n", 4]) for name in ("h", "e")],
        [helper.make_tensor_value_info(name, number, ["n", 4]) for name in ("state", "step")],
    )
    nodes = [
        n("MatMul", ["x", "s"], ["h0"]),
        n("Transpose", ["xs"], ["each"], perm=[1, 0, 2]),
        n("Scan", ["h0", "each"], ["last", "all"], body=body, num_scan_inputs=1),
        n("ReduceSum", ["all"], ["sum"], keepdims=0),
        n("Add", ["last", "sum"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "scan",
        [helper.make_tensor_value_info(*v) for v in (("x", number, ["n", 6]), ("xs", number, ["n", 2, 4]))],
        [helper.make_tensor_value_info("y", number, ["n", 4])],
        [numpy_helper.from_array(W, "s"), numpy_helper.from_array(W[:4], "r")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize(
    "body",
    [
        # the state is the step too
        [n("Add", ["h", "e"], ["sum"]), n("Tanh", ["sum"], ["state"]), n("Identity", ["state"], ["step"])],
        [n("Add", ["h", "e"], ["sum"]), n("Identity", ["sum"], ["state"]), n("Identity", ["sum"], ["step"])],
        # what goes in comes out
        [n("Identity", ["e"], ["state"]), n("Identity", ["h"], ["step"])],
        # a value of the graph around it
        [n("Add", ["h", "e"], ["state"]), n("Identity", ["h0"], ["step"])],
        [n("MatMul", ["h", "r"], ["hr"]), n("Add", ["hr", "e"], ["state"]), n("Identity", ["state"], ["step"])],
    ],
)
def test_bodies_give_out_what_they_gave_out(body: Any) -> None:
    xs = np.random.default_rng(1).normal(size=(3, 2, 4)).astype(np.float32)
    assert_same(scanned(body), x=X, xs=xs)
