"""Ours against ONNX Runtime's own dynamic quantizer, which is the reference, and against the float model."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.exact_sums import exact_session
from tests.workers.quantization.small_models import random_weights
from workers.quantization.dynamic import quantize_dynamic
from workers.quantization.error_metrics import sqnr_db
from workers.quantization.passes.quantize_products import quantize_products

N = helper.make_node


def model() -> onnx.ModelProto:
    """Rows of a table, a product, two products of one input, a Gemm of either kind, one weight used twice."""
    weights = random_weights(
        np.random.default_rng(0), table=(64, 32), w1=(32, 48), w2=(48, 24), w3=(48, 24), w4=(24, 16), w5=(16, 24),
        bias=(16,),
    )  # fmt: skip
    nodes = [
        N("Gather", ["table", "ids"], ["e"], name="look_up"),
        N("MatMul", ["e", "w1"], ["h"], name="up"),
        N("MatMul", ["h", "w2"], ["a"], name="left"),
        N("MatMul", ["h", "w3"], ["b"], name="right"),
        N("Add", ["a", "b"], ["s"], name="sum"),
        N("MatMul", ["s", "w4"], ["t"], name="shared"),
        N("Gemm", ["s", "w4", "bias"], ["u"], name="gemm"),
        N("Gemm", ["s", "w5", "bias"], ["v"], name="gemm_transposed", transB=1),
        N("Sum", ["t", "u", "v"], ["y"], name="all"),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(a, k) for k, a in weights.items()],
    )
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(found, full_check=True)
    return found


IDS = np.arange(24, dtype=np.int64)


def run(proto: onnx.ModelProto) -> Any:
    return ort.InferenceSession(proto.SerializeToString()).run(None, {"ids": IDS})[0]


def run_exactly(proto: onnx.ModelProto) -> Any:
    return exact_session(proto).run(None, {"ids": IDS})[0]


def quantized(**settings: Any) -> tuple[onnx.ModelProto, frozenset[str]]:
    source = ir.from_proto(model())
    done = quantize_products(source, **{"per_channel": True, "limited": False, **settings})
    return ir.to_proto(source), done


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_result_is_as_close_to_float_as_that_of_onnx_runtimes_tool(per_channel: bool) -> None:
    ours, done = quantized(per_channel=per_channel)
    onnx.checker.check_model(ours, full_check=True)
    assert done == {"look_up", "up", "left", "right", "shared", "gemm", "gemm_transposed"}
    # weights of either may saturate the sums of processors without VNNI
    expected, theirs = run(model()), run_exactly(quantize_dynamic(model(), per_channel=per_channel))
    error, reference = np.square(run_exactly(ours) - expected).sum(), np.square(theirs - expected).sum()
    # 1.6: 2 dB, for the roundings of either are different draws
    assert error < reference * 1.6
    assert error < np.square(expected).sum() / 1000  # 30 dB


@pytest.mark.parametrize("per_channel", [True, False])
def test_limited_weights_give_exact_sums_on_every_processor(per_channel: bool) -> None:
    limited, _ = quantized(per_channel=per_channel, limited=True)
    np.testing.assert_array_equal(run(limited), run_exactly(limited))
    assert sqnr_db(run(model()), run(limited)) > 30


def test_no_float_weight_remains_and_what_is_shared_is_written_once() -> None:
    ours, _ = quantized()
    types = {t.name: t.data_type for t in ours.graph.initializer if len(t.dims) == 2}
    assert set(types.values()) == {TensorProto.INT8}
    # table, w1, w2, w3, w4, w5: `shared` and `gemm` read the same integers
    assert len(types) == 6
    counts = [n.op_type for n in ours.graph.node]
    assert counts.count("MatMulInteger") == 6
    # of e, h and s
    assert counts.count("DynamicQuantizeLinear") == 3


def test_names_of_inputs_and_outputs_stay_and_excluded_nodes_too() -> None:
    ours, done = quantized(nodes_to_exclude={"left", "look_up"})
    assert ([i.name for i in ours.graph.input], [o.name for o in ours.graph.output]) == (["ids"], ["y"])
    assert {"left", "look_up", "sum", "all"} <= {n.name for n in ours.graph.node}
    assert not {"left", "look_up"} & done


def test_a_product_that_is_an_output_keeps_its_name() -> None:
    source = model()
    source.graph.output.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, ["n", 16]))
    graph_model = ir.from_proto(source)
    quantize_products(graph_model, per_channel=True, limited=False)
    ours = ir.to_proto(graph_model)
    onnx.checker.check_model(ours, full_check=True)
    assert [o.name for o in ours.graph.output] == ["y", "t"]
    run(ours)


def test_weights_of_control_flow_and_computed_ones_stay() -> None:
    nodes = [N("MatMul", ["x", "x"], ["y"], name="square")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    assert quantize_products(ir.from_proto(proto), per_channel=True, limited=False) == frozenset()


def test_onnx_runtime_fuses_each_product_into_one_operator(tmp_path: Path) -> None:
    ours, _ = quantized()
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(ours.SerializeToString(), options)
    # 6, of which `shared` and the product of `gemm` are the same
    counts = [n.op_type for n in onnx.load_model(tmp_path / "optimized.onnx").graph.node]
    assert sum(counts.count(op) for op in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")) == 5
    assert not {"MatMulInteger", "Cast"} & set(counts)
