"""Ranges that are found at run time span padding: a warning, where a model knows padding at all."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.pipeline.jobs import attention, quantized, sentences
from tests.workers.quantization.small_models import two_matmuls

n = helper.make_node
TIME, WIDTH, HIDDEN = 6, 4, 8
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(op_type: str, lengths: str) -> onnx.ModelProto:
    """[n, 6, 4] -> a recurrent layer, told where sequences end by an input, by the number of frames, or not."""
    rng = np.random.default_rng(0)
    gates = GATES[op_type] * HIDDEN
    weights = {
        "w": rng.normal(size=(1, gates, WIDTH)), "r": rng.normal(size=(1, gates, HIDDEN)) * 0.3,
        "head": rng.normal(size=(HIDDEN, 3)),
    }  # fmt: skip
    told = {"input": "lengths", "shape": "whole", "none": ""}[lengths]
    nodes = [
        n("Transpose", ["x"], ["frames"], name="turn", perm=[1, 0, 2]),
        n(op_type, ["frames", "w", "r", "", told], ["", "last"], name="layer", hidden_size=HIDDEN),
        n("Squeeze", ["last", "zero"], ["state"], name="state"),
        n("MatMul", ["state", "head"], ["y"], name="head"),
    ]
    if lengths == "shape":
        nodes[1:1] = [
            n("Shape", ["x"], ["extents"], name="extents"),
            n("Gather", ["extents", "zero"], ["samples"], name="samples"),
            n("Expand", ["full", "samples"], ["whole"], name="whole"),
        ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", TIME, WIDTH])]
    if lengths == "input":
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["n"]))
    constants = {"zero": np.array([0]), "full": np.array([TIME], np.int32)}
    initializers = [numpy_helper.from_array(a.astype(np.float32), k) for k, a in weights.items()]
    initializers += [numpy_helper.from_array(a, k) for k, a in constants.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]
    graph = helper.make_graph(nodes, "recurrent", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def frames(lengths: str, *, padding: float = 0.0) -> Any:
    rng = np.random.default_rng(1)
    x, ends = rng.normal(size=(24, TIME, WIDTH)).astype(np.float32), rng.integers(1, TIME, 24).astype(np.int32)
    x[np.arange(TIME) >= ends[:, np.newaxis]] = padding
    return {"x": x, "lengths": ends} if lengths == "input" else {"x": x}


def codes(folder: Path, model: onnx.ModelProto, feeds: Any, preset: str = "int8-dynamic") -> set[str]:
    return {warning.code for warning in quantized(folder, model, feeds, preset=preset).warnings}


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize(("lengths", "warns"), [("input", True), ("shape", False), ("none", False)])
def test_lengths_that_differ_between_sequences_are_warned_of(
    tmp_path: Path, op_type: str, lengths: str, warns: bool
) -> None:
    assert ("padding_enters_ranges" in codes(tmp_path, recurrent(op_type, lengths), frames(lengths))) == warns


def test_a_mask_is_warned_of_with_the_dynamic_recipe_alone(tmp_path: Path) -> None:
    assert "padding_enters_ranges" in codes(tmp_path, attention(), sentences(24))
    assert "padding_enters_ranges" not in codes(tmp_path, attention(), sentences(24), preset="int8-fast")


def test_a_model_without_lengths_or_mask_is_not(tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(0).normal(size=(24, 3, 16)).astype(np.float32)}
    assert "padding_enters_ranges" not in codes(tmp_path, two_matmuls(), feeds)


def test_what_the_warning_says_is_so(tmp_path: Path) -> None:
    """The float model ignores what lies behind a sequence's end; the dynamic one does not."""
    model = recurrent("LSTM", "input")
    quantized(tmp_path, model, frames("input"), preset="int8-dynamic")
    (path,) = (tmp_path / "outputs").glob("*.onnx")
    for session, is_equal in (
        (ort.InferenceSession(model.SerializeToString()), True),
        (ort.InferenceSession(path), False),
    ):
        quiet, loud = (session.run(None, frames("input", padding=p))[0] for p in (0.0, 50.0))
        assert np.allclose(quiet, loud, atol=1e-5) == is_equal
