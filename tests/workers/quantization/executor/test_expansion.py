"""Operators as function bodies: ONNX's own and the model's."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from workers.quantization.executor.expansion import expanded
from workers.quantization.executor.graph_module import GraphModule
from workers.quantization.executor.onnxruntime_executor import OnnxRuntimeExecutor
from workers.quantization.executor.torch_executor import TorchExecutor

n = helper.make_node


def _model(nodes: Any, *, opset: int = 18, functions: Any = (), domains: Any = ()) -> ir.Model:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return ir.from_proto(helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=9))


@pytest.mark.parametrize(
    ("operator", "attributes", "opset"),
    [
        ("Celu", {"alpha": 1.5}, 12),  # a body that depends on its node
        ("Celu", {}, 12),
        ("Mish", {}, 18),
        ("ThresholdedRelu", {"alpha": 0.3}, 18),
        ("ThresholdedRelu", {}, 10),  # the attribute's default, and a body written for a newer opset
        ("Shrink", {"lambd": 0.2, "bias": 0.1}, 9),
        ("MeanVarianceNormalization", {"axes": [0]}, 13),
    ],
)
def test_an_operator_without_an_entry_runs_through_its_body(operator: str, attributes: Any, opset: int) -> None:
    model = _model([n(operator, ["x"], ["y"], name="it", **attributes)], opset=opset)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = OnnxRuntimeExecutor(model, threads=1).run({"x": x})["y"]
    np.testing.assert_allclose(TorchExecutor(model).run({"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def test_a_function_of_the_model_is_entered_and_may_use_others() -> None:
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    twice = helper.make_function("mine", "Twice", ["a"], ["b"], [n("Add", ["a", "a"], ["b"])], opset)
    inner = [n("Twice", ["a"], ["t"], domain="mine"), n("Mish", ["t"], ["b"])]
    outer = helper.make_function("mine", "MishOfTwice", ["a"], ["b"], inner, opset)
    model = _model([n("MishOfTwice", ["x"], ["y"], domain="mine")], functions=[twice, outer], domains=["mine"])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    softplus = np.log1p(np.exp(2 * x.astype(np.float64)))
    np.testing.assert_allclose(TorchExecutor(model).run({"x": x})["y"], 2 * x * np.tanh(softplus), rtol=1e-5)


def test_a_function_written_for_another_opset_keeps_its_meaning() -> None:
    """Axes are attributes there, which the model's own opset would refuse."""
    body = [
        n("Unsqueeze", ["a"], ["u"], axes=[2]),
        n("Softmax", ["u"], ["s"], axis=1),
        n("Squeeze", ["s"], ["b"], axes=[2]),
    ]
    function = helper.make_function("mine", "Old", ["a"], ["b"], body, [helper.make_opsetid("", 11)])
    model = _model([n("Old", ["x"], ["y"], domain="mine")], opset=18, functions=[function], domains=["mine"])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(TorchExecutor(model).run({"x": x})["y"], expected, rtol=1e-5)


def test_the_constants_of_a_definition_are_nobodys_weights() -> None:
    module = GraphModule(_model([n("Celu", ["x"], ["y"], alpha=0.5)]))
    assert module.weights == {}
    assert any(b.is_floating_point() for b in module.buffers())


def test_two_nodes_of_one_operator_get_a_body_each() -> None:
    model = _model([n("Celu", ["x"], ["m"], alpha=0.5), n("Celu", ["m"], ["y"], alpha=2.0)])
    x = np.float32([[-1.0, -0.1, 0.0, 2.0]])

    def celu(v: Any, alpha: float) -> Any:
        return np.maximum(v, 0) + np.minimum(0, alpha * (np.exp(v / alpha) - 1))

    np.testing.assert_allclose(TorchExecutor(model).run({"x": x})["y"], celu(celu(x, 0.5), 2.0), rtol=1e-5)
    assert TorchExecutor(model).run({"x": x}, ["m"])["m"].shape == (1, 4)  # names outside of the body are kept


def test_the_model_itself_is_left_alone() -> None:
    model = _model([n("Mish", ["x"], ["y"])])
    before = onnx.ModelProto.FromString(ir.to_proto(model).SerializeToString())
    assert "Mish" not in {node.op_type for node in expanded(model).graph}
    assert ir.to_proto(model) == before
