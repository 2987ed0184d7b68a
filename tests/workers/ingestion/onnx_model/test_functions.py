from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.onnx_model.uploads import outputs
from tests.workers.quantization.small_models import two_matmuls
from workers.ingestion.onnx_model.canonical import ingest_onnx
from workers.protocol.reporter import Reporter

N = helper.make_node
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]


def function(name: str, nodes: Any, inputs: Any = ("a",), outputs: Any = ("b",), domain: str = "mine") -> Any:
    return helper.make_function(domain, name, list(inputs), list(outputs), list(nodes), OPSETS)


def calling(*functions: Any, first: str = "f", domain: str = "mine") -> onnx.ModelProto:
    """An input -> the products of `two_matmuls` -> a function -> z"""
    model = two_matmuls()
    model.graph.node.append(N(first, ["y"], ["z"], name="call", domain=domain))
    model.graph.output[0].name = "z"
    model.opset_import.append(OPSETS[1])
    model.functions.extend(functions)
    return model


@pytest.fixture
def ingest(tmp_path: Path, reporter: Reporter) -> Any:
    def run(model: onnx.ModelProto) -> Path:
        (tmp_path / "upload.onnx").write_bytes(model.SerializeToString())
        ingest_onnx(tmp_path / "upload.onnx", tmp_path, reporter)
        return tmp_path / "model.onnx"

    return run


@pytest.fixture
def problem_of(ingest: Any) -> Any:
    def run(model: onnx.ModelProto) -> Any:
        with pytest.raises(ProblemFound) as found:
            ingest(model)
        return found.value.problem

    return run


def test_functions_are_written_out_where_they_are_called(ingest: Any, tmp_path: Path) -> None:
    inner = function("g", [N("Sigmoid", ["a"], ["s"]), N("Mul", ["a", "s"], ["b"])])
    outer = function("f", [N("g", ["a"], ["once"], domain="mine"), N("g", ["once"], ["b"], domain="mine")])
    model = calling(outer, inner)
    onnx.save_model(model, tmp_path / "original.onnx")
    path = ingest(model)
    written = onnx.load_model(path)
    assert not written.functions
    assert [n.op_type for n in written.graph.node].count("Sigmoid") == 2
    assert [n.name for n in written.graph.node][:4] == ["up", "relu", "down", "bias"]
    np.testing.assert_array_equal(outputs(path)[0], outputs(tmp_path / "original.onnx")[0])


@pytest.mark.parametrize(
    "functions",
    [
        [function("f", [N("f", ["a"], ["b"], domain="mine")])],
        [function("f", [N("g", ["a"], ["b"], domain="mine")]), function("g", [N("f", ["a"], ["b"], domain="mine")])],
    ],
    ids=["itself", "in_a_circle"],
)
def test_functions_that_call_themselves_are_refused(problem_of: Any, functions: Any) -> None:
    found = problem_of(calling(*functions))
    assert found.code == "onnx_operator_not_allowed"
    assert "calls itself" in found.detail


def test_functions_that_grow_without_measure_are_refused(problem_of: Any) -> None:
    # each calls the next ten times: 10^9 operators from a hundred
    def chain(level: int) -> Any:
        values = ["a", *(f"v{i}" for i in range(9)), "b"]
        op, domain = (f"f{level + 1}", "mine") if level < 8 else ("Relu", "")
        nodes = [N(op, [values[i]], [values[i + 1]], domain=domain) for i in range(10)]
        return function(f"f{level}", nodes)

    found = problem_of(calling(*(chain(level) for level in range(9)), first="f0"))
    assert found.code == "onnx_operator_not_allowed"
    assert "operators" in found.detail


@pytest.mark.parametrize(
    ("functions", "first", "domain"),
    [
        ([function("Softmax", [N("Relu", ["a"], ["b"])], domain="")], "Softmax", ""),
        ([function("f", [N("Relu", ["a"], ["b"])]), function("f", [N("Neg", ["a"], ["b"])])], "f", "mine"),
        ([function("f", [N("PyOp", ["a"], ["b"], domain="ai.onnx.contrib")])], "f", "mine"),
        ([function("f", [N("EPContext", ["a"], ["b"], domain="com.microsoft")])], "f", "mine"),
        ([], "f", "mine"),
    ],
    ids=["standard_name", "twice", "contrib_inside", "microsoft_inside", "undefined"],
)
def test_other_functions_are_refused(problem_of: Any, functions: Any, first: str, domain: str) -> None:
    assert problem_of(calling(*functions, first=first, domain=domain)).code == "onnx_operator_not_allowed"


def test_a_graph_that_never_makes_its_output_is_refused(problem_of: Any) -> None:
    """And its function, of another opset, would be converted on the way."""
    model = calling(function("f", [N("Relu", ["a"], ["b"])]))
    model.functions[0].opset_import[0].version = 13
    model.graph.output[0].name = "nowhere"
    assert problem_of(model).code in {"onnx_operator_not_allowed", "onnx_invalid"}


def test_a_function_nobody_calls_goes(ingest: Any) -> None:
    model = calling(function("f", [N("Relu", ["a"], ["b"])]), function("unused", [N("Neg", ["a"], ["b"])]))
    assert [n.op_type for n in onnx.load_model(ingest(model)).graph.node][-1] == "Relu"


def test_an_external_tensor_in_a_function_is_screened(problem_of: Any) -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    body = [N("Constant", [], ["k"], value=tensor), N("Add", ["a", "k"], ["b"])]
    assert problem_of(calling(function("f", body))).code == "onnx_external_data_escape"
