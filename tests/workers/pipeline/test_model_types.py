"""Inputs and outputs that are no tensors of numbers."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.workers.pipeline.jobs import quantized
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask

n = helper.make_node
MAPS = helper.make_sequence_type_proto(
    helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
)
ROWS = {"x": np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)}


def product(nodes: Any = (), outputs: Any = None, inputs: Any = ()) -> onnx.ModelProto:
    """A product of rows of 8, x -> y, and what else is asked for."""
    weight = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    graph = helper.make_graph(
        [n("MatMul", ["x", "w"], ["y"], name="product"), *nodes],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8]), *inputs],
        outputs or [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def inspected(folder: Path, model: onnx.ModelProto) -> Any:
    (folder / "upload").write_bytes(model.SerializeToString())
    return inspect_model(InspectModelTask(model="upload"), folder, Reporter(io.StringIO())).inspection


def test_maps_of_class_probabilities_are_refused_with_the_way_out(tmp_path: Path) -> None:
    """As skl2onnx ends every classifier unless it is told not to."""
    zipped = n("ZipMap", ["y"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=range(8))
    with pytest.raises(ProblemFound) as found:
        inspected(tmp_path, product([zipped], [helper.make_value_info("probabilities", MAPS)]))
    assert found.value.problem.code == "onnx_type_unsupported"
    assert found.value.problem.errors[0].entry == "probabilities"
    assert "zipmap" in (found.value.problem.hint or "")


@pytest.mark.parametrize(
    "value",
    [
        helper.make_tensor_value_info("u", TensorProto.STRING, ["n"]),
        helper.make_tensor_sequence_value_info("u", TensorProto.FLOAT, None),
        helper.make_value_info(
            "u", helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"]))
        ),
    ],
    ids=["text", "sequence", "optional"],
)
def test_inputs_for_which_no_data_can_be_given_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspected(tmp_path, product(inputs=[value]))
    assert (found.value.problem.code, found.value.problem.errors[0].entry) == ("onnx_type_unsupported", "u")


def test_a_sequence_beside_a_tensor_is_no_obstacle(tmp_path: Path) -> None:
    outputs = [
        helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8]),
    ]
    model = product([n("SplitToSequence", ["y"], ["s"], axis=1)], outputs)
    inspected(tmp_path, model)
    assert quantized(tmp_path, model, ROWS).variants[1].metrics.sqnr_db > 30


def test_an_output_without_a_shape_gets_the_one_that_follows_from_the_operators(tmp_path: Path) -> None:
    """The format's checker refuses such a model; ONNX Runtime does not mind."""
    model = product(outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    assert not model.graph.output[0].type.tensor_type.HasField("shape")
    assert [output.shape for output in inspected(tmp_path, model).outputs] == [("n", 8)]
    assert quantized(tmp_path, model, ROWS).variants[1].metrics.sqnr_db > 30


def test_an_output_whose_number_of_axes_nobody_knows_is_quantized_and_stays_as_it_is(tmp_path: Path) -> None:
    """Compress gives no one the length of its result, and Reshape takes it for the shape of the output."""
    nodes = [
        n("Shape", ["y"], ["all"]),
        n("Compress", ["all", "both"], ["some"]),
        n("Reshape", ["y", "some"], ["z"]),
    ]
    model = product(nodes, [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    model.graph.initializer.append(numpy_helper.from_array(np.array([True, True]), "both"))
    assert [output.shape for output in inspected(tmp_path, model).outputs] == [()]
    result = quantized(tmp_path, model, ROWS)
    assert result.variants[1].metrics.sqnr_db > 30
    (file,) = (f.path for f in result.files if f.kind == "model")
    (output,) = onnx.load(tmp_path / "outputs" / file).graph.output
    assert not output.type.tensor_type.HasField("shape")


@pytest.mark.parametrize("preset", ["int8-fast", "int8-accurate"])
def test_an_output_that_is_a_single_number_is_compared(tmp_path: Path, preset: str) -> None:
    model = product(
        [n("ReduceSum", ["y"], ["z"], keepdims=0)], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [])]
    )
    assert quantized(tmp_path, model, ROWS, preset=preset).variants[1].metrics.sqnr_db > 20
