"""Operators that no standard knows are refused by name, with what to upload instead."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.workers.pipeline.inspection.changed_models import changed
from tests.workers.quantization.small_models import model_of, residual_cnn


def test_operators_beyond_the_standard_are_named(problem_of: Any) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].domain = "com.microsoft"
        model.opset_import.add(domain="com.microsoft", version=1)

    found = problem_of(changed(change))
    assert found.code == "onnx_operator_not_allowed"
    assert found.errors[0].entry == "up"


def test_all_kinds_of_foreign_operators_are_named_at_once_wherever_they_are(problem_of: Any) -> None:
    body = helper.make_graph(
        [helper.make_node("FusedGemm", ["a"], ["b"], domain="com.microsoft", name="inner")],
        "body", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )  # fmt: skip

    def change(model: onnx.ModelProto) -> None:
        for node, op_type in zip(model.graph.node, ("FusedMatMul", "QuickGelu", "FusedMatMul"), strict=False):
            node.op_type, node.domain = op_type, "com.microsoft"
        model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=body, else_branch=body))
        model.graph.node.append(helper.make_node("Mine", ["y"], ["z"], domain="my.company"))

    found = problem_of(changed(change))
    assert found.detail.endswith(
        "com.microsoft.FusedGemm (2 times), com.microsoft.FusedMatMul (2 times), com.microsoft.QuickGelu, "
        "my.company.Mine."
    )
    assert {e.entry for e in found.errors} == {"up", "relu", "inner", "Mine"}
    assert "from before ONNX Runtime's optimizer" in found.hint


def test_what_the_optimizer_of_onnx_runtime_writes_is_refused_with_what_to_upload(
    problem_of: Any, tmp_path: Path
) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(residual_cnn().SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = problem_of((tmp_path / "optimized.onnx").read_bytes())
    assert "com.microsoft.FusedConv (2 times)" in found.detail
    assert "from before ONNX Runtime's optimizer" in found.hint


def test_what_that_optimizer_writes_in_the_standards_own_domain_is_told_from_the_standard(problem_of: Any) -> None:
    """LayerNormalization came with opset 17; the optimizer writes it at any."""
    scale = {"s": np.ones(4, np.float32)}
    nodes = [helper.make_node("LayerNormalization", ["x", "s"], ["y"], name="norm")]
    model = model_of(nodes, scale, inputs={"x": ["n", 4]}, outputs={"y": ["n", 4]})
    model.opset_import[0].version = 16
    found = problem_of(model)
    assert found.code == "onnx_operator_not_allowed"
    assert found.detail.endswith(": LayerNormalization.")
    assert "from before ONNX Runtime's optimizer" in found.hint


def test_other_foreign_operators_are_not_blamed_on_an_optimizer(problem_of: Any) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].domain = "my.company"

    assert "optimizer" not in problem_of(changed(change)).hint


def test_a_model_of_nothing_but_inventions_is_refused_in_a_few_lines(problem_of: Any) -> None:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.node[:]
        model.graph.node.extend(helper.make_node(f"Mine{i}", ["x"], [f"y{i}"], domain="m") for i in range(1000))

    found = problem_of(changed(change))
    assert found.detail.endswith("and 936 other kinds.")
    assert len(found.errors) == 64


@pytest.mark.parametrize(
    ("op_type", "domain"),
    [
        ("PyOp", "ai.onnx.contrib"),
        ("EPContext", "com.microsoft"),  # names an engine's file, which a runtime would open
        ("EfficientNMS_TRT", ""),  # a plugin of TensorRT, as exporters write it
        ("MyPlugin", "trt.plugins"),
        ("Mine", "my.company"),
        ("Conv", "ai.onnx.ml"),
    ],
)
def test_plugins_and_operators_of_runtimes_are_refused(problem_of: Any, op_type: str, domain: str) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].op_type, model.graph.node[1].domain = op_type, domain
        model.opset_import.add(domain=domain or "unused", version=1)

    found = problem_of(changed(change))
    assert found.code == "onnx_operator_not_allowed"
    assert op_type in found.detail
