from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, residual_cnn
from workers.quantization.executor import onnxruntime_session
from workers.quantization.executor.executor import InputMissing, RuntimeRefused, ValueNotInGraph
from workers.quantization.executor.onnxruntime_executor import OnnxRuntimeExecutor
from workers.quantization.executor.torch_executor import TorchExecutor


@pytest.fixture
def x() -> Any:
    return np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)


def test_values_inside_the_graph_are_read_by_name(x: Any) -> None:
    model = ir.from_proto(residual_cnn())
    names = ["r2", "y", "x", "w1"]
    got = OnnxRuntimeExecutor(model, threads=1).run({"x": x}, names)
    expected = TorchExecutor(model).run({"x": x}, names)
    assert list(got) == names
    for name in names:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5)
    assert [v.name for v in model.graph.outputs] == ["y"]  # the caller's model is as it was


def test_weights_in_files_are_found(x: Any, tmp_path: Path) -> None:
    model = ir.from_proto(residual_cnn())
    expected = OnnxRuntimeExecutor(model, threads=1).run({"x": x})["y"]
    ir.save(model, tmp_path / "model.onnx", external_data="weights")
    loaded = ir.load(tmp_path / "model.onnx")
    for executor in (OnnxRuntimeExecutor(loaded, threads=1), TorchExecutor(loaded)):
        np.testing.assert_allclose(executor.run({"x": x})["y"], expected, atol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "weights"]


def test_weights_too_large_for_a_message_go_through_a_file(x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ir.from_proto(residual_cnn())
    expected = OnnxRuntimeExecutor(model, threads=1).run({"x": x}, ["r1", "y"])
    monkeypatch.setattr(onnxruntime_session, "LARGEST_MESSAGE", 100)
    got = OnnxRuntimeExecutor(model, threads=1).run({"x": x}, ["r1", "y"])
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


def test_what_is_missing_or_unknown_is_named(x: Any) -> None:
    executor = OnnxRuntimeExecutor(ir.from_proto(residual_cnn()), threads=1)
    with pytest.raises(InputMissing, match="x"):
        executor.run({})
    with pytest.raises(ValueNotInGraph, match="nowhere"):
        executor.run({"x": x}, ["nowhere"])


def test_a_model_that_does_not_load_or_run_is_refused_with_the_reason() -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    model = model_of(nodes, {"shape": np.int64([5, 5])}, inputs={"x": ["n"]}, outputs={"y": [5, 5]})
    with pytest.raises(RuntimeRefused, match="Reshape"):
        OnnxRuntimeExecutor(ir.from_proto(model), threads=1).run({"x": np.ones(3, np.float32)})
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(RuntimeRefused, match="NoSuchOperator"):
        OnnxRuntimeExecutor(ir.from_proto(model), threads=1)
