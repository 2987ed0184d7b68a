from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.real_data import READER
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask


@pytest.fixture
def inspection_of(tmp_path: Path, reporter: Reporter) -> Any:
    def run(model: bytes) -> Any:
        (tmp_path / "m").write_bytes(model)
        return inspect_model(InspectModelTask(model="m"), tmp_path, reporter).inspection

    return run


def test_weights_that_become_integers_are_counted(inspection_of: Any) -> None:
    found = inspection_of(residual_cnn().SerializeToString())
    assert set(found.coverage) == {"onnxruntime-cpu", "tensorrt"}
    # 8*3*9 + 8*8*9 + 16*8*9 + 5*16
    assert {c.parameters_quantized for c in found.coverage.values()} == {2024}
    # four layers, and between convolutions: the addition, the pool, the average pool and what moves values
    assert found.coverage["onnxruntime-cpu"].operators_quantized == 8
    assert found.coverage["onnxruntime-cpu"].reasons == {}
    assert found.parameters_by_dtype == {"float32": 2087}


def test_what_stays_in_float_has_its_reason(inspection_of: Any) -> None:
    found = inspection_of(READER.read_bytes()).coverage
    runtime = found["onnxruntime-cpu"]
    assert runtime.operators_float == sum(runtime.reasons.values()) == 4
    (reason,) = runtime.reasons
    assert reason.startswith("Both of its inputs are computed at run time")
    # products of two activations are worth int8 there
    assert found["tensorrt"].operators_quantized > runtime.operators_quantized


def test_a_weight_that_two_operators_share_counts_once(inspection_of: Any) -> None:
    nodes = [onnx.helper.make_node("MatMul", [a, "w"], [b], name=b) for a, b in (("x", "h"), ("h", "y"))]
    weights = random_weights(np.random.default_rng(0), w=(16, 16))
    found = inspection_of(
        model_of(nodes, weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 16]}).SerializeToString()
    )
    assert found.coverage["onnxruntime-cpu"].operators_quantized == 2
    assert found.coverage["onnxruntime-cpu"].parameters_quantized == 256


def test_where_nothing_would_be_quantized_nothing_is_estimated(inspection_of: Any) -> None:
    nodes = [onnx.helper.make_node("Relu", ["x"], ["y"])]
    found = inspection_of(model_of(nodes, {}, inputs={"x": ["n", 4]}, outputs={"y": ["n", 4]}).SerializeToString())
    assert found.coverage["onnxruntime-cpu"].operators_quantized == 0
    assert found.estimate is None


def test_a_quantized_model_is_not_judged(inspection_of: Any) -> None:
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": np.asarray(np.float32(0.1)), "z": np.asarray(np.uint8(3))}
    found = inspection_of(model_of(nodes, weights, inputs={"x": [3]}, outputs={"y": [3]}).SerializeToString())
    assert found.already_quantized
    assert found.coverage == {}
