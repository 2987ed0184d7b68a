import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import onnxruntime.quantization
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.real_data import READER, lines_of_text
from tests.workers.quantization.exact_sums import exact_session
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.quantization.dynamic import DynamicQuantizationFailed, NothingQuantized, quantize_dynamic
from workers.quantization.error_metrics import sqnr_db
from workers.quantization.graph.opset import raise_opset
from workers.quantization.passes.lift_constants import lift_constants


def run(model: onnx.ModelProto, x: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def tokens() -> Any:
    return np.random.default_rng(0).normal(size=(8, 20, 16)).astype(np.float32)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def codes(model: onnx.ModelProto) -> Any:
    arrays = [numpy_helper.to_array(t) for t in model.graph.initializer]
    return [a for a in arrays if a.dtype == np.int8 and a.ndim == 2]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("reduce_range", [False, True])
def test_two_products_become_integers_and_stay_close_to_the_float_model(per_channel: bool, reduce_range: bool) -> None:
    model = two_matmuls()
    quantized = quantize_dynamic(model, per_channel=per_channel, reduce_range=reduce_range)
    onnx.checker.check_model(quantized, full_check=True)
    assert kinds(quantized).count("MatMulInteger") == 2
    assert "MatMul" not in kinds(quantized)
    # 7 bits cannot saturate in any kernel. 8 can, without VNNI, and are judged by exact sums
    actual = run(quantized, tokens()) if reduce_range else exact_session(quantized).run(None, {"x": tokens()})[0]
    # 8-bit uniform error is 6.02 * 8 = 48 dB below a full-scale signal; normal values, two layers and a bit less: > 30
    assert sqnr_db(run(model, tokens()), actual) > 30


def test_a_reduced_range_has_seven_bits() -> None:
    assert max(abs(c.astype(int)).max() for c in codes(quantize_dynamic(two_matmuls(), reduce_range=True))) <= 64
    assert max(abs(c.astype(int)).max() for c in codes(quantize_dynamic(two_matmuls()))) == 127


def test_channels_have_their_own_scales() -> None:
    def sizes(quantized: onnx.ModelProto) -> Any:
        return sorted(t.dims[0] if t.dims else 1 for t in quantized.graph.initializer if t.name.endswith("_scale"))

    assert sizes(quantize_dynamic(two_matmuls(), per_channel=True)) == [4, 32]
    assert sizes(quantize_dynamic(two_matmuls(), per_channel=False)) == [1, 1]


def test_nodes_and_types_that_are_left_out_stay_float() -> None:
    assert kinds(quantize_dynamic(two_matmuls(), nodes_to_exclude=["up"])).count("MatMul") == 1
    assert kinds(quantize_dynamic(residual_cnn(), op_types=["Conv"])).count("ConvInteger") == 3


def test_convolutions_stay_float_unless_they_are_asked_for() -> None:
    quantized = quantize_dynamic(residual_cnn())
    assert kinds(quantized).count("Conv") == 3
    assert kinds(quantized).count("MatMulInteger") == 1


def test_a_transposed_weight_whose_shape_is_noted_becomes_integers_too() -> None:
    """The tool turns [5, 16] into [16, 5] under the same name; a note of the old shape used to stop it."""
    model = ir.to_proto(lift_constants(ir.from_proto(residual_cnn())))
    assert "w4" in {v.name for v in model.graph.value_info}
    assert "MatMulInteger" in {node.op_type for node in quantize_dynamic(model).graph.node}


def test_standard_attention_is_not_taken_for_the_runtimes_own() -> None:
    """The tool would put ONNX Runtime's QAttention in its place, which takes other inputs: no runtime loads that."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"], name="project"),
        helper.make_node("Attention", ["q", "q", "q"], ["y"], name="attend", q_num_heads=4, kv_num_heads=4),
    ]
    weights = {"w": np.eye(16, dtype=np.float32)}
    inputs = {"x": ["n", 20, 16]}
    model = model_of(nodes, weights, inputs=inputs, outputs={"y": ["n", 20, 16]}, opset=23, ir_version=11)
    quantized = quantize_dynamic(model)
    assert kinds(quantized).count("Attention") == kinds(quantized).count("MatMulInteger") == 1
    assert sqnr_db(run(model, tokens()), run(quantized, tokens())) > 30


def shared(*, times: int) -> onnx.ModelProto:
    """A square Gemm, applied again and again with one weight: as exporters write copies of a layer."""
    nodes = [
        helper.make_node("Gemm", [f"h{i}", "w", "b"], [f"h{i + 1}"], name=f"gemm{i}", transB=1) for i in range(times)
    ]
    weights = random_weights(np.random.default_rng(2), w=(16, 16), b=(16,))
    return model_of(nodes, weights, inputs={"h0": ["n", 16]}, outputs={f"h{times}": ["n", 16]})


def rows() -> Any:
    return np.random.default_rng(3).normal(size=(64, 16)).astype(np.float32)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_weight_that_several_gemms_share_is_turned_for_each_of_them(times: int) -> None:
    """The tool would turn it over under its old name as often as it is read."""
    model = shared(times=times)
    expected, actual = (
        ort.InferenceSession(m.SerializeToString()).run(None, {"h0": rows()})[0]
        for m in (model, quantize_dynamic(model, reduce_range=True))
    )
    assert sqnr_db(expected, actual) > 30


def test_a_table_that_a_gemm_multiplies_by_stays_a_table() -> None:
    """Tied embeddings: Gather reads rows of what the last layer multiplies by."""
    nodes = [
        helper.make_node("Cast", ["x"], ["ids"], name="ids", to=TensorProto.INT64),
        helper.make_node("Gather", ["w", "ids"], ["e"], name="find"),
        helper.make_node("Gemm", ["e", "w"], ["y"], name="tied", transB=1),
    ]
    model = model_of(
        nodes, random_weights(np.random.default_rng(4), w=(32, 32)), inputs={"x": ["n"]}, outputs={"y": ["n", 32]}
    )
    ids = np.arange(32, dtype=np.float32)
    assert sqnr_db(run(model, ids), run(quantize_dynamic(model, reduce_range=True), ids)) > 30


def test_two_runs_of_one_lstm_have_weights_of_their_own() -> None:
    """Siamese networks: the tool would reshape the weights twice, and leave the second run without any."""
    lstm = [
        helper.make_node("LSTM", [i, "w", "r", "b"], [o], name=o, hidden_size=4) for i, o in (("x", "a"), ("c", "d"))
    ]
    join = [
        helper.make_node("Neg", ["x"], ["c"], name="other"),
        helper.make_node("Add", ["a", "d"], ["y"], name="join"),
    ]
    weights = random_weights(np.random.default_rng(5), w=(1, 16, 8), r=(1, 16, 4), b=(1, 32))
    model = model_of(
        [join[0], *lstm, join[1]], weights, inputs={"x": [6, "n", 8]}, outputs={"y": [6, 1, "n", 4]}, opset=13
    )
    x = np.random.default_rng(6).normal(size=(6, 3, 8)).astype(np.float32)
    quantized = quantize_dynamic(model, reduce_range=True)
    assert kinds(quantized).count("DynamicQuantizeLSTM") == 2
    assert sqnr_db(run(model, x), run(quantized, x)) > 25


def test_a_gemm_that_is_left_out_stays_float() -> None:
    quantized = quantize_dynamic(shared(times=2), nodes_to_exclude=["gemm0"])
    assert kinds(quantized).count("MatMul") == kinds(quantized).count("MatMulInteger") == 1


def test_that_dynamic_convolutions_ruin_a_real_network_is_why() -> None:
    model = ir.to_proto(lift_constants(ir.from_proto(raise_opset(onnx.load_model(READER)))))
    x = {model.graph.input[0].name: lines_of_text(1)}

    def decibels(**options: Any) -> Any:
        quantized = quantize_dynamic(model, reduce_range=True, **options)
        outputs = [ort.InferenceSession(m.SerializeToString()).run(None, x)[0] for m in (model, quantized)]
        return sqnr_db(*outputs)

    assert decibels() > 30
    assert decibels(op_types=["Conv"]) < 10


def test_bytes_do_as_well_and_the_model_that_came_in_stays_as_it_was() -> None:
    model = two_matmuls()
    before = model.SerializeToString(deterministic=True)
    quantized = quantize_dynamic(model)
    assert model.SerializeToString(deterministic=True) == before
    np.testing.assert_array_equal(run(quantized, tokens()), run(quantize_dynamic(before), tokens()))


def test_no_external_data_is_left_in_the_result() -> None:
    for tensor in quantize_dynamic(two_matmuls()).graph.initializer:
        assert tensor.data_location == TensorProto.DEFAULT
        assert not tensor.external_data


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: Any, capfd: Any, caplog: Any) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    names = {k: id(v) for k, v in vars(onnxruntime.quantization).items()}
    root = logging.getLogger()
    handlers, filters, level = list(root.handlers), list(root.filters), root.level
    quantize_dynamic(two_matmuls())
    with pytest.raises(NothingQuantized):
        quantize_dynamic(two_matmuls(), nodes_to_exclude=["up", "down"])
    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []
    assert (root.handlers, root.filters, root.level) == (handlers, filters, level)
    assert {k: id(v) for k, v in vars(onnxruntime.quantization).items()} == names
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_a_process_without_logging_hears_nothing_and_gets_its_own_warnings_afterwards() -> None:
    program = (
        "import logging; from tests.workers.quantization.small_models import two_matmuls\n"
        "from workers.quantization.dynamic import quantize_dynamic\n"
        "import sys; assert 'onnxruntime' not in sys.modules\n"
        "quantize_dynamic(two_matmuls()); assert not logging.getLogger().handlers\n"
        "logging.getLogger().warning('mine')"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (finished.stdout, finished.stderr) == ("", "mine\n")


def test_a_model_without_constant_weights_is_refused() -> None:
    node = helper.make_node("MatMul", ["x", "z"], ["y"])
    model = model_of([node], {}, inputs={"x": [2, 3], "z": [3, 4]}, outputs={"y": [2, 4]})
    with pytest.raises(NothingQuantized):
        quantize_dynamic(model)
    with pytest.raises(NothingQuantized, match="No Gemm that is not excluded"):
        quantize_dynamic(two_matmuls(), op_types=["Gemm"])


def test_a_model_that_the_tool_cannot_take_is_refused_with_its_reason() -> None:
    model = two_matmuls()
    del model.opset_import[:]
    with pytest.raises(DynamicQuantizationFailed, match="opset"):
        quantize_dynamic(model)
