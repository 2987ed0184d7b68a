import subprocess
import sys

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from tests.workers.quantization.small_models import residual_cnn
from workers.quantization.executor.choice import choose_executor, unsupported_operators
from workers.quantization.executor.executor import OperatorNotSupported


def _model(*nodes: onnx.NodeProto, opset: int = 20) -> ir.Model:
    shape = [2, 3]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9))


def test_on_a_cpu_onnx_runtime_is_chosen() -> None:
    choice = choose_executor(ir.from_proto(residual_cnn()), "cpu", threads=1)
    assert choice.executor.name == "onnxruntime-cpu"
    assert "as fast" in choice.reason


def test_torch_steps_in_where_onnx_runtime_cannot_load_the_model() -> None:
    """It has no kernel for Erf of bfloat16 on a CPU."""
    model = _model(
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.BFLOAT16),
        helper.make_node("Erf", ["d"], ["m"]),
        helper.make_node("Cast", ["m"], ["y"], to=TensorProto.FLOAT),
    )
    choice = choose_executor(model, "cpu", threads=1)
    assert choice.executor.name == "torch-cpu"
    assert "cannot load" in choice.reason


def test_what_neither_can_run_is_refused() -> None:
    with pytest.raises(OperatorNotSupported, match="NoSuchOperator"):
        choose_executor(_model(helper.make_node("NoSuchOperator", ["x"], ["y"], name="who")), "cpu")


def test_every_operator_that_is_not_covered_is_listed_with_its_node_and_reason() -> None:
    model = _model(
        helper.make_node("Mish", ["x"], ["a"]),  # through its body
        helper.make_node("Det", ["a"], ["b"], name="first"),
        helper.make_node("NoSuchOperator", ["b"], ["c"], name="second", domain="com.example"),
        helper.make_node("Cast", ["c"], ["y"], name="third", to=TensorProto.FLOAT8E4M3FN),
    )
    found = unsupported_operators(model)
    assert [(r.operator, r.domain, r.node) for r in found] == [
        ("Det", "", "first"),
        ("NoSuchOperator", "com.example", "second"),
        ("Cast", "", "third"),
    ]
    assert found[0].opset == 20
    assert "type" in found[2].reason


def test_choosing_for_a_cpu_imports_no_torch() -> None:
    code = "import sys, workers.quantization.executor.choice; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
