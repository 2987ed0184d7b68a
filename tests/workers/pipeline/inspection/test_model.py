import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.workers.pipeline.inspection.changed_models import changed
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask


def test_a_sound_model_is_described(inspect: Any) -> None:
    found = inspect(residual_cnn())
    assert [(i.name, i.dtype, i.shape) for i in found.inputs] == [("x", "float32", ("n", 3, 8, 8))]
    assert [(o.name, o.shape) for o in found.outputs] == [("y", ("n", 5))]
    assert found.opset == 17
    assert found.op_counts["Conv"] == 3
    # 8*3*9 + 8*8*9 + 8 + 16*8*9 + 16 + 5*16 + 5 + 4*8 (norm) + 2 (clip) = 2087
    assert found.parameters == 2087
    assert not found.already_quantized


def test_initializers_that_are_listed_as_inputs_are_none_and_unnamed_extents_get_a_name(inspect: Any) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("w1", TensorProto.FLOAT, [16, 32]))
        model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -1

    assert [(i.name, i.shape) for i in inspect(changed(change)).inputs] == [("x", ("?0", "?1", 16))]


def test_integer_operators_mark_a_quantized_model(inspect: Any) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": np.asarray(np.float32(0.1)), "z": np.asarray(np.uint8(3))}
    assert inspect(model_of(nodes, weights, inputs={"x": [3]}, outputs={"y": [3]})).already_quantized


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"hello, world", b"PK\x03\x04", b"\x08\x07", b"\xff" * 100])
def test_what_is_no_model_is_refused(problem_of: Any, data: Any) -> None:
    assert problem_of(data).code == "onnx_parse_error"


def test_every_truncation_is_refused(problem_of: Any) -> None:
    data = residual_cnn().SerializeToString()
    codes = {problem_of(data[:cut]).code for cut in range(1, len(data) - 8, max(1, len(data) // 60))}
    assert codes <= {"onnx_parse_error", "onnx_invalid", "onnx_opset_unsupported", "model_not_runnable"}


def test_a_file_that_no_message_can_fill_is_refused_unread(tmp_path: Path, reporter: Reporter) -> None:
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(1 << 31)  # a hole: it takes no room
    with pytest.raises(ProblemFound) as found:
        inspect_model(InspectModelTask(model="model.onnx"), tmp_path, reporter)
    assert found.value.problem.code == "onnx_parse_error"
    assert "save_as_external_data" in (found.value.problem.hint or "")


def test_a_weight_of_too_few_bytes_is_found(problem_of: Any) -> None:
    found = problem_of(changed(lambda m: setattr(m.graph.initializer[0], "raw_data", b"\0" * 12)))
    assert found.code == "onnx_invalid"
    assert found.errors[0].entry == "w1"


def in_two_fields(tensor: onnx.TensorProto) -> None:
    tensor.float_data.extend([0.5] * 512)


def of_so_many_values(count: int) -> Any:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([0.5] * count)

    return change


def of_another_type(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.int64_data.extend([1] * 512)


# w1 is [16, 32]: 512 values
@pytest.mark.parametrize(
    "change", [in_two_fields, *map(of_so_many_values, (0, 511, 513)), of_another_type], ids=lambda f: f.__name__
)
def test_a_weight_in_two_fields_or_of_another_number_of_values_is_refused(problem_of: Any, change: Any) -> None:
    found = problem_of(changed(lambda m: change(m.graph.initializer[0])))
    assert (found.code, bool(found.hint)) == ("onnx_invalid", True)


def test_values_may_lie_in_the_field_of_their_type(inspect: Any) -> None:
    assert inspect(changed(lambda m: of_so_many_values(512)(m.graph.initializer[0]))).parameters == 16 * 32 + 32 * 4 + 4


@pytest.mark.parametrize("count", [1, 3])
def test_integers_and_texts_are_counted_too(problem_of: Any, count: int) -> None:
    def integers(model: onnx.ModelProto) -> None:
        model.graph.initializer.add(name="i", data_type=TensorProto.INT64, dims=[2]).int64_data.extend([1] * count)

    def texts(model: onnx.ModelProto) -> None:
        model.graph.initializer.add(name="t", data_type=TensorProto.STRING, dims=[2]).string_data.extend([b"a"] * count)

    for change in (integers, texts):
        assert problem_of(changed(change)).code == "onnx_invalid"


@pytest.mark.parametrize("opset", [1, 8, 999, 1000])
def test_versions_out_of_range_are_refused(problem_of: Any, opset: int) -> None:
    assert problem_of(changed(lambda m: setattr(m.opset_import[0], "version", opset))).code == "onnx_opset_unsupported"


def test_a_newer_format_and_a_missing_opset_are_refused(problem_of: Any) -> None:
    assert problem_of(changed(lambda m: setattr(m, "ir_version", 99))).code == "onnx_opset_unsupported"
    assert problem_of(changed(lambda m: m.ClearField("opset_import"))).code == "onnx_opset_unsupported"


def make_external(tensor: Any, location: str = "../../etc/passwd\n") -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def in_constant(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "hidden")
    make_external(tensor)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))


def in_subgraph(model: onnx.ModelProto) -> None:
    inner = onnx.ModelProto()
    in_constant(inner)
    model.graph.node.append(helper.make_node("If", ["c"], ["k"], then_branch=inner.graph, else_branch=inner.graph))


def in_sparse(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add()
    make_external(sparse.values)


def in_training(model: onnx.ModelProto) -> None:
    make_external(model.training_info.add().initialization.initializer.add(name="t"))


@pytest.mark.parametrize("hide", [in_constant, in_subgraph, in_sparse, in_training])
def test_weights_in_other_files_are_found_wherever_they_hide(inspect: Any, hide: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(changed(hide))
    assert found.value.problem.code == "onnx_external_data_escape"
    assert "\n" not in found.value.problem.detail


def test_a_missing_file_is_named(inspect: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(changed(lambda m: make_external(m.graph.initializer[1], "weights.bin")))
    assert found.value.problem.code == "onnx_external_data_missing"
    assert found.value.problem.errors[0].entry == "weights.bin"


@pytest.mark.parametrize(
    "dims",
    [[-1, 32], [-1, -1], [-(1 << 63)], [1 << 40, 1 << 40], [1 << 62], [(1 << 63) - 1], [1 << 32, 1 << 32]],
    ids=str,
)
def test_impossible_extents_are_refused(problem_of: Any, dims: Any) -> None:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    assert problem_of(changed(change)).code == "onnx_tensor_too_large"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(problem_of: Any, value: Any) -> None:
    weights = random_weights(np.random.default_rng(0), w=(4, 4))
    weights["w"][1, 2] = value
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    found = problem_of(model_of(nodes, weights, inputs={"x": ["n", 4]}, outputs={"y": ["n", 4]}))
    assert (found.code, found.errors[0].entry) == ("nonfinite_weights", "w")


def test_a_single_infinity_is_a_mask_and_passes(inspect: Any) -> None:
    nodes = [helper.make_node("Max", ["x", "k"], ["y"])]
    inspect(model_of(nodes, {"k": np.asarray(np.float32(-np.inf))}, inputs={"x": ["n", 4]}, outputs={"y": ["n", 4]}))


def test_shapes_that_contradict_each_other_are_refused(problem_of: Any) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((31, 4), np.float32), "w2"))

    assert problem_of(changed(change)).code in {"onnx_invalid", "model_not_runnable"}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_leads_to_anything_but_a_problem(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    damaged = bytearray(two_matmuls().SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp()
    (folder / "damaged.onnx").write_bytes(damaged)
    with contextlib.suppress(ProblemFound):
        inspect_model(InspectModelTask(model="damaged.onnx"), folder, Reporter(io.StringIO()))
