"""Shapes of models that bug reports of the field are about, through every preset: sound files, and true words."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.generated.builder import Generated
from tests.workers.held_to_float import held, simulated
from tests.workers.pipeline.jobs import done, quantized
from tests.workers.pipeline.test_generated_models import PRESETS
from tests.workers.quantization.small_models import model_of
from workers.protocol.outcome import Finished, Quantized, Refused

n = helper.make_node
FLOAT = TensorProto.FLOAT


def normal(*shape: int, seed: int = 0, fan: int | None = None) -> Any:
    array = np.random.default_rng([seed, *shape]).normal(size=shape)
    return (array / np.sqrt(fan or 1)).astype(np.float32)


def shared_with_branches() -> Generated:
    """Both branches of an If multiply by the weight that the graph around it multiplies by."""
    value = helper.make_tensor_value_info

    def branch(name: str, activation: str) -> onnx.GraphProto:
        nodes = [n("MatMul", ["r", "w"], [f"{name}_p"]), n(activation, [f"{name}_p"], [f"{name}_y"])]
        return helper.make_graph(nodes, name, [], [value(f"{name}_y", FLOAT, ["n", 64])])

    nodes = [
        n("MatMul", ["x", "w"], ["p"], name="product"),
        n("Relu", ["p"], ["r"]),
        n("ReduceMean", ["r"], ["m"], keepdims=0),
        n("Greater", ["m", "half"], ["c"]),
        n("If", ["c"], ["z"], then_branch=branch("t", "Relu"), else_branch=branch("e", "Tanh")),
        n("MatMul", ["z", "head"], ["y"], name="head"),
    ]
    stored = {"w": normal(64, 64, fan=32), "head": normal(64, 5, fan=64), "half": np.array(0.1, np.float32)}
    graph = helper.make_graph(
        nodes, "if", [value("x", FLOAT, ["n", 64])], [value("y", FLOAT, ["n", 5])],
        [numpy_helper.from_array(a, name) for name, a in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return Generated(model, {"x": normal(48, 64, seed=1)})


def given_out_and_read() -> Generated:
    """What one product makes is an output, and the next product's input."""
    nodes = [
        n("MatMul", ["x", "a"], ["p"], name="one"),
        n("Tanh", ["p"], ["features"]),
        n("MatMul", ["features", "b"], ["y"], name="two"),
    ]
    stored = {"a": normal(16, 16, fan=16), "b": normal(16, 5, fan=16)}
    model = model_of(nodes, stored, inputs={"x": ["n", 6, 16]}, outputs={"features": ["n", 6, 16], "y": ["n", 6, 5]})
    return Generated(model, {"x": normal(48, 6, 16, seed=2)})


def three_axes() -> Generated:
    """A weight of three axes: no scale for each of its channels, whatever the form."""
    nodes = [
        n("MatMul", ["x", "w"], ["h"], name="three"),
        n("Relu", ["h"], ["r"]),
        n("MatMul", ["r", "o"], ["y"], name="two"),
    ]
    stored = {"w": normal(1, 16, 24, fan=16), "o": normal(24, 5, fan=24)}
    model = model_of(nodes, stored, inputs={"x": ["n", 10, 16]}, outputs={"y": ["n", 10, 5]})
    return Generated(model, {"x": normal(48, 10, 16, seed=3)})


def time_major() -> Generated:
    """The first axis is moved to the front, multiplied, and moved back."""
    nodes = [
        n("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        n("MatMul", ["t", "w"], ["p"], name="product"),
        n("Transpose", ["p"], ["y"], perm=[1, 0, 2]),
    ]
    model = model_of(nodes, {"w": normal(8, 12, fan=8)}, inputs={"x": ["n", 5, 8]}, outputs={"y": ["n", 5, 12]})
    return Generated(model, {"x": normal(48, 5, 8, seed=4)})


def padded_by_axes() -> Generated:
    nodes = [
        n("Conv", ["x", "a"], ["c"], name="one"),
        n("Relu", ["c"], ["r"]),
        n("Pad", ["r", "pads", "", "axes"], ["p"], name="pad"),
        n("Conv", ["p", "b"], ["d"], name="two"),
        n("Relu", ["d"], ["e"]),
        n("Conv", ["e", "o"], ["y"], name="three"),
    ]
    stored = {
        "a": normal(8, 4, 3, 3, fan=36), "b": normal(8, 8, 3, 3, fan=72), "o": normal(4, 8, 1, 1, fan=8),
        "pads": np.array([1, 1, 1, 1]), "axes": np.array([2, 3]),
    }  # fmt: skip
    model = model_of(nodes, stored, inputs={"x": ["n", 4, 8, 8]}, outputs={"y": ["n", 4, 6, 6]}, opset=18)
    return Generated(model, {"x": normal(48, 4, 8, 8, seed=5)})


MODELS = {
    "shared with branches": shared_with_branches,
    "given out and read": given_out_and_read,
    "three axes": three_axes,
    "time major": time_major,
    "padded by axes": padded_by_axes,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_sound_file_is_delivered_or_a_code(tmp_path: Path, name: str, preset: str) -> None:
    model = MODELS[name]()
    found = held(model, preset, tmp_path, simulated_db=simulated(model))
    assert (found.fault, found.caught) == (None, ())
    assert found.refused is None or (preset == "int8-dynamic" and found.refused == "nothing_to_quantize")


def test_a_weight_shared_with_branches_makes_the_file_smaller(tmp_path: Path) -> None:
    model = shared_with_branches()
    told = quantized(tmp_path, model.model, model.data, preset="int8-fast")
    assert told.variants[1].metrics.size_bytes < 0.7 * told.variants[0].metrics.size_bytes


def square_root() -> onnx.ModelProto:
    """Half of its answers are no numbers."""
    nodes = [n("MatMul", ["x", "w"], ["p"], name="product"), n("Sqrt", ["p"], ["y"])]
    return model_of(nodes, {"w": normal(16, 5, fan=16)}, inputs={"x": ["n", 16]}, outputs={"y": ["n", 5]})


@pytest.mark.parametrize("preset", PRESETS)
def test_answers_that_are_no_numbers_are_told(tmp_path: Path, preset: str) -> None:
    outcome = done(tmp_path, square_root(), {"x": normal(64, 16, seed=6)}, preset=preset)
    assert isinstance(outcome, Finished)
    assert isinstance(outcome.ok, Quantized)
    assert "nonfinite_answers" in {notice.code for notice in outcome.ok.outcome.warnings}


@pytest.mark.parametrize("preset", ["int8-dynamic", "float16"])
def test_a_model_that_answers_nothing_finite_is_refused(tmp_path: Path, preset: str) -> None:
    nodes = [n("MatMul", ["x", "w"], ["p"], name="product"), n("Abs", ["p"], ["a"]), n("Sub", ["zero", "a"], ["s"]),
             n("Log", ["s"], ["y"])]  # fmt: skip
    stored = {"w": normal(16, 5, fan=16), "zero": np.array(0, np.float32)}
    model = model_of(nodes, stored, inputs={"x": ["n", 16]}, outputs={"y": ["n", 5]})
    outcome = done(tmp_path, model, {"x": normal(64, 16, seed=7)}, preset=preset)
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == "answers_not_finite"


def rows_by_score() -> onnx.ModelProto:
    """As many rows as have a positive score: rounding decides on those near zero."""
    nodes = [
        n("Flatten", ["x"], ["f"], axis=2),
        n("MatMul", ["x", "w"], ["scores"], name="scores"),
        n("Greater", ["scores", "zero"], ["good"]),
        n("Reshape", ["good", "all"], ["mask"]),
        n("MatMul", ["x", "b"], ["boxes"], name="boxes"),
        n("Reshape", ["boxes", "rows"], ["flat"]),
        n("Compress", ["flat", "mask"], ["y"], axis=0),
    ][1:]
    stored = {
        "w": normal(8, 1, fan=8), "b": normal(8, 4, fan=8), "zero": np.array(0, np.float32), "all": np.array([-1]),
        "rows": np.array([-1, 4]),
    }  # fmt: skip
    return model_of(nodes, stored, inputs={"x": ["n", 32, 8]}, outputs={"y": ["k", 4]})


@pytest.mark.parametrize("preset", ["int8-fast", "int8-accurate", "int8-dynamic", "float16"])
def test_another_number_of_rows_is_counted_and_ends_nothing(tmp_path: Path, preset: str) -> None:
    told = quantized(tmp_path, rows_by_score(), {"x": normal(48, 32, 8, seed=8)}, preset=preset)
    best = next(v for v in told.variants if v.key == told.best)
    if preset != "float16":
        assert best.metrics.outputs[0].misshapen > 0
        assert "shapes_differ" in {notice.code for notice in told.warnings}
        assert "answered in another shape" in told.verdict
