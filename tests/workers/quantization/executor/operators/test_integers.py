"""QuantizeLinear and DequantizeLinear, to the last bit, against ONNX Runtime without its fusions."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.workers.quantization.small_models import model_of
from workers.quantization.executor.torch_executor import TorchExecutor

VALUES = np.concatenate(
    [np.random.default_rng(0).normal(size=1000) * 40, np.arange(-300, 300) / 2, [0.0, 1e30, -1e30]]
).astype(np.float32)  # halves are ties at scale 1


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("scale", [1.0, 0.37, 3.0])
def test_codes_equal_onnx_runtime_also_at_ties_and_beyond_the_range(kind: str, scale: float) -> None:
    zero = {"int8": -3, "uint8": 128, "int16": 7, "uint16": 300}[kind]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": np.asarray(scale, np.float32), "z": np.asarray(zero, kind)}
    _assert_same_bits(nodes, weights, VALUES, getattr(TensorProto, kind.upper()))


@pytest.mark.parametrize("attributes", [{"axis": 0}, {"axis": -1}, {}])
def test_scales_along_an_axis_and_the_default_axis_is_one(attributes: Any) -> None:
    x = VALUES[:60].reshape(4, 3, 5)
    size = x.shape[attributes.get("axis", 1)]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes),
    ]
    weights = {"s": np.linspace(0.1, 2, size, dtype=np.float32), "z": np.arange(size, dtype=np.int8)}
    _assert_same_bits(nodes, weights, x, TensorProto.INT8)


def _assert_same_bits(nodes: Any, weights: Any, x: Any, kind: int) -> None:
    proto = model_of(nodes, weights, inputs={"x": list(x.shape)}, outputs={"y": list(x.shape)}, opset=21, ir_version=10)
    proto.graph.output.append(onnx.ValueInfoProto(name="q"))
    proto.graph.output[-1].type.tensor_type.elem_type = kind
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = dict(zip(["y", "q"], session.run(["y", "q"], {"x": x}), strict=True))
    got = TorchExecutor(ir.from_proto(proto)).run({"x": x})
    for name, value in expected.items():
        assert got[name].dtype == value.dtype
        np.testing.assert_array_equal(got[name], value)
