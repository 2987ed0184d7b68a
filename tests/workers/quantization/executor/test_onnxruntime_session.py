"""A model is opened from wherever its weights lie: in the message, in a file, in the branches of an If."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from workers.quantization.executor import onnxruntime_session
from workers.quantization.executor.onnxruntime_session import loaded, source_of
from workers.quantization.graph.model_file import load_model

WEIGHT = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
X = {"x": np.ones((2, 16), np.float32)}


def branching() -> ir.Model:
    """X @ w where the sum of x is positive, else x @ 2w: weights in the branches alone."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node(
            "If", ["positive"], ["y"], then_branch=_branch("one", WEIGHT), else_branch=_branch("two", 2.0 * WEIGHT)
        ),
    ]
    inputs, outputs = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 16])] for n in ("x", "y"))
    zero = [numpy_helper.from_array(np.float32(0.0), "zero")]
    graph = helper.make_graph(nodes, "branching", inputs, outputs, zero)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))


def _branch(name: str, weight: Any) -> onnx.GraphProto:
    product = helper.make_node("MatMul", ["x", f"w_{name}"], [f"y_{name}"])
    output = helper.make_tensor_value_info(f"y_{name}", TensorProto.FLOAT, None)
    return helper.make_graph([product], name, [], [output], [numpy_helper.from_array(weight, f"w_{name}")])


def in_files(model: ir.Model, folder: Path) -> ir.Model:
    ir.save(model, folder / "m.onnx", external_data="m.onnx.data", size_threshold_bytes=10)
    return load_model(folder / "m.onnx")


def test_weights_of_branches_that_lie_in_a_file_are_found(tmp_path: Path) -> None:
    mapped = in_files(branching(), tmp_path)
    assert isinstance(source_of(mapped, tmp_path), Path)
    np.testing.assert_array_equal(loaded(mapped, threads=1).run(X)["y"], loaded(branching(), threads=1).run(X)["y"])


def test_weights_of_branches_count_for_what_fits_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(source_of(branching(), tmp_path), bytes)
    monkeypatch.setattr(onnxruntime_session, "LARGEST_MESSAGE", WEIGHT.nbytes)  # of two such
    assert isinstance(source_of(branching(), tmp_path), Path)
    np.testing.assert_allclose(loaded(branching(), threads=1).run(X)["y"], X["x"] @ WEIGHT, rtol=1e-5, atol=1e-5)
