import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask


@pytest.fixture
def inspect(tmp_path: Path, reporter: Reporter) -> Any:
    def run(model: onnx.ModelProto | bytes) -> Any:
        path = tmp_path / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return inspect_model(InspectModelTask(model=path.name), tmp_path, reporter).inspection

    return run


@pytest.fixture
def problem_of(inspect: Any) -> Any:
    def run(model: onnx.ModelProto | bytes) -> Any:
        with pytest.raises(ProblemFound) as found:
            inspect(model)
        assert "/" not in found.value.problem.detail.replace("float16/32/64", ""), "a path may have leaked"
        return found.value.problem

    return run


def changed(change: Any, model: onnx.ModelProto | None = None) -> onnx.ModelProto:
    model = model or two_matmuls()
    change(model)
    return model


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


UNPRINTABLE = ["a\0b", "a\nb", "a\u202eb", "a\u2028b"]


def rename_input(model: onnx.ModelProto, name: str) -> None:
    model.graph.input[0].name = name
    model.graph.node[0].input[0] = name


def rename_output(model: onnx.ModelProto, name: str) -> None:
    model.graph.output[0].name = name
    model.graph.node[-1].output[0] = name


def rename_extent(model: onnx.ModelProto, name: str) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = name


def rename_operator(model: onnx.ModelProto, name: str) -> None:
    model.graph.node[1].op_type = name


def rename_domain(model: onnx.ModelProto, name: str) -> None:
    model.graph.node[1].domain = name


@pytest.mark.parametrize("name", UNPRINTABLE)
@pytest.mark.parametrize(
    ("rename", "what"),
    [
        (rename_input, "an input"),
        (rename_output, "an output"),
        (rename_extent, "a dimension of an input"),
        (rename_operator, "an operator"),
        (rename_domain, "an operator's domain"),
    ],
)
def test_names_that_no_report_can_repeat_are_refused(problem_of: Any, rename: Any, what: str, name: str) -> None:
    found = problem_of(changed(lambda m: rename(m, name)))
    assert found.code == "onnx_invalid"
    assert found.detail == f"The name of {what} holds characters that cannot be printed: a�b."
    assert found.errors[0].entry == "a�b"


def test_names_in_any_script_are_welcome(inspect: Any) -> None:
    assert inspect(changed(lambda m: rename_input(m, "Bild_é图 1"))).inputs[0].name == "Bild_é图 1"


@pytest.mark.parametrize("name", UNPRINTABLE)
def test_the_producer_is_cleaned_instead(inspect: Any, name: str) -> None:
    assert inspect(changed(lambda m: setattr(m, "producer_name", name))).producer == "a�b"


def rename_node(model: onnx.ModelProto, name: str) -> None:
    model.graph.node[0].name = name


def rename_producer(model: onnx.ModelProto, name: str) -> None:
    model.producer_name = name


@pytest.mark.parametrize("rename", [rename_input, rename_extent, rename_node, rename_producer])
def test_a_lone_surrogate_is_no_text(problem_of: Any, rename: Any) -> None:
    # ED A0 80 is how U+D800 would be spelled if UTF-8 allowed it
    data = changed(lambda m: rename(m, "xyz")).SerializeToString()
    assert problem_of(data.replace(b"xyz", b"\xed\xa0\x80")).code == "onnx_parse_error"


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
