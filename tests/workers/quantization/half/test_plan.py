"""What stays float32 for the sake of its values, seen at models that lose them in float16."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from workers.quantization.half.sizes import COUNTS, DELICATE, DIVIDES_BY_COUNT, SCALED
from workers.quantization.passes.float16 import cast_to_float16
from workers.quantization.passes.lift_constants import lift_constants

FLOAT, INT64, INT32, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8


def n(op_type: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """Named by what it writes."""
    return helper.make_node(op_type, inputs, [output], name=output, **attributes)


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, Any], inputs: dict[str, tuple[int, list[Any]]]) -> Any:
    """Its output is `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, *given) for name, given in inputs.items()],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(x), name) for name, x in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cast(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    lifted = lift_constants(ir.from_proto(model))
    report = cast_to_float16(lifted)
    half = ir.to_proto(lifted)
    onnx.checker.check_model(half, full_check=True)
    return half, report.kept


def decibels(model: onnx.ModelProto, half: onnx.ModelProto, **feeds: Any) -> float:
    """The worse of ONNX Runtime, which casts back to float32 on a CPU, and ONNX's reference, which does not."""
    wanted = ort.InferenceSession(model.SerializeToString()).run(None, feeds)[0].astype(np.float64)
    results = (
        ort.InferenceSession(half.SerializeToString()).run(None, feeds)[0],
        ReferenceEvaluator(half).run(None, feeds)[0],
    )
    noise = max(float(np.square(wanted - got).sum()) for got in results)
    return float(10 * np.log10(np.square(wanted).sum() / max(noise, 1e-30)))


def rows(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("factors", [(3e-8, 1e7), (1e7, 3e-8), (1e-6, 1e6), (2e5, 1e-5)])
def test_a_factor_that_float16_cannot_hold_keeps_what_lies_between_it_and_its_inverse(factors: Any) -> None:
    nodes = [
        n("Mul", ["x", "first"], "a"),
        n("Relu", ["a"], "b"),
        n("Reshape", ["b", "shape"], "c"),
        n("Mul", ["c", "second"], "d"),
        n("Add", ["d", "x"], "e"),
        n("MatMul", ["e", "w"], "y"),
    ]
    constants = {
        "first": np.float32(factors[0]),
        "second": np.float32(factors[1]),
        "shape": np.int64([0, 8]),
        "w": rows(8, 8),
    }
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", 8])})
    half, kept = cast(model)
    assert list(kept) == ["a", "b", "c", "d"]
    assert "constant first" in kept["a"]
    assert kept["b"] == kept["c"] == SCALED
    assert decibels(model, half, x=rows(5, 8)) > 55


def test_a_divisor_is_kept_for_one_value_near_zero_and_a_factor_is_not() -> None:
    scale = np.float32([1.0, 2.0, 1e-8, 4.0])
    for op_type, names in (("Div", ["y"]), ("Mul", [])):
        model = model_of([n(op_type, ["x", "scale"], "y")], {"scale": scale}, {"x": (FLOAT, ["n", 4])})
        half, kept = cast(model)
        assert list(kept) == names
        assert decibels(model, half, x=rows(5, 4)) > 55


def test_weights_that_are_all_near_zero_stay_float32_until_a_bias_outweighs_them() -> None:
    nodes = [
        n("MatMul", ["x", "w"], "a"),
        n("Mul", ["a", "back"], "b"),
        n("MatMul", ["b", "v"], "c"),
        n("Add", ["c", "bias"], "y"),
    ]
    constants = {"w": rows(8, 8) * np.float32(1e-7), "back": np.float32(1e6), "v": rows(8, 8), "bias": rows(8)}
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", 8])})
    half, kept = cast(model)
    assert list(kept) == ["a", "b"]
    assert decibels(model, half, x=rows(5, 8)) > 55


def test_an_epsilon_of_a_written_out_norm_is_kept_with_all_that_depends_on_it() -> None:
    nodes = [
        n("Mul", ["x", "x"], "square"),
        n("ReduceMean", ["square"], "mean", axes=[-1]),
        n("Add", ["mean", "epsilon"], "safe"),
        n("Sqrt", ["safe"], "root"),
        n("Div", ["x", "root"], "normal"),
        n("MatMul", ["normal", "w"], "y"),
    ]
    constants = {"epsilon": np.float32(1e-12), "w": rows(8, 8)}
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", 8])})
    half, kept = cast(model)
    assert list(kept) == ["square", "mean", "safe", "root", "normal"]
    assert kept["root"] == DELICATE
    x = rows(4, 8) * np.float32([[1], [300], [1e-3], [0]])  # squares of 300 overflow; 0 / 0 would be NaN
    assert decibels(model, half, x=x) > 55


def test_the_least_value_of_a_clip_may_be_an_epsilon() -> None:
    nodes = [n("Clip", ["x", "least"], "safe"), n("Log", ["safe"], "log"), n("MatMul", ["log", "w"], "y")]
    constants = {"least": np.float32(1e-9), "w": rows(8, 8)}
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", 8])})
    half, kept = cast(model)
    assert list(kept) == ["safe", "log"]
    assert decibels(model, half, x=rows(5, 8)) > 55


@pytest.mark.parametrize("hidden", [-1e4, -1e9, np.finfo(np.float32).min, -np.inf])
def test_a_mask_before_a_softmax_is_float16_however_large(hidden: float) -> None:
    nodes = [
        n("Where", ["visible", "x", "hidden"], "m"),
        n("Unsqueeze", ["m", "axis"], "u"),
        n("Softmax", ["u"], "y", axis=-1),
    ]
    constants = {"hidden": np.float32(hidden), "axis": np.int64([0])}
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", 8]), "visible": (TensorProto.BOOL, ["n", 8])})
    half, kept = cast(model)
    assert kept == {}
    assert decibels(model, half, x=rows(3, 8), visible=np.arange(24).reshape(3, 8) % 3 != 1) > 55


def test_what_is_hidden_in_an_output_keeps_its_number() -> None:
    model = model_of(
        [n("Where", ["visible", "x", "hidden"], "y")],
        {"hidden": np.float32(-1e9)},
        {"x": (FLOAT, [4]), "visible": (TensorProto.BOOL, [4])},
    )
    half, kept = cast(model)
    assert list(kept) == ["y"]
    feeds = {"x": np.float32([1, 2, 3, 4]), "visible": np.array([True, False, True, False])}
    assert ort.InferenceSession(half.SerializeToString()).run(None, feeds)[0].tolist() == [1, -1e9, 3, -1e9]


def test_a_mask_of_integers_is_exact_and_leaves_the_network_in_float16() -> None:
    # (1 - mask) * -3.4e38, as exports write it
    nodes = [
        n("Cast", ["mask"], "f", to=FLOAT),
        n("Sub", ["one", "f"], "inverse"),
        n("Mul", ["inverse", "lowest"], "bias"),
        n("MatMul", ["x", "w"], "scores"),
        n("Add", ["scores", "bias"], "masked"),
        n("Softmax", ["masked"], "p"),
        n("MatMul", ["p", "w"], "y"),
    ]
    constants = {"one": np.float32(1), "lowest": np.finfo(np.float32).min, "w": rows(8, 8)}
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", 8]), "mask": (INT64, ["n", 8])})
    half, kept = cast(model)
    assert set(kept) == {"f", "inverse", "bias"}
    mask = np.int64([[1] * 8, [1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1]])
    assert decibels(model, half, x=rows(3, 8), mask=mask) > 50


@pytest.mark.parametrize("kind", [INT64, INT32, FLOAT])
def test_time_steps_stay_float32_up_to_their_sines(kind: int) -> None:
    nodes = [
        *([n("Cast", ["t"], "f", to=FLOAT)] if kind != FLOAT else [n("Identity", ["t"], "f")]),
        n("Unsqueeze", ["f", "axis"], "u"),
        n("Mul", ["u", "frequencies"], "phase"),
        n("Sin", ["phase"], "sine"),
        n("Cos", ["phase"], "cosine"),
        n("Concat", ["sine", "cosine"], "embedded", axis=-1),
        n("MatMul", ["embedded", "w"], "y"),
    ]
    frequencies = np.exp(-np.log(1e4) * np.arange(8) / 8).astype(np.float32)
    constants = {"axis": np.int64([1]), "frequencies": frequencies, "w": rows(16, 8)}
    model = model_of(nodes, constants, {"t": (kind, ["n"])})
    half, kept = cast(model)
    assert set(kept) - {"f"} == {"u", "phase", "sine", "cosine"}
    t = np.array([0, 1, 17, 250, 999, 4095]).astype(helper.tensor_dtype_to_np_dtype(kind))
    assert decibels(model, half, t=t) > 55


def test_positions_times_frequencies_may_be_a_matrix_product() -> None:
    # [d, 1] x [1, t]: the rotary embedding of decoders
    nodes = [
        n("Cast", ["positions"], "f", to=FLOAT),
        n("MatMul", ["frequencies", "f"], "phase"),
        n("Cos", ["phase"], "cosine"),
        n("MatMul", ["w", "cosine"], "y"),
    ]
    constants = {"frequencies": (1e4 ** -(np.arange(8) / 8)).astype(np.float32)[:, None], "w": rows(4, 8)}
    model = model_of(nodes, constants, {"positions": (INT64, [1, "t"])})
    half, kept = cast(model)
    assert set(kept) == {"f", "phase", "cosine"}
    assert decibels(model, half, positions=np.arange(3000, 3032)[None]) > 55


def test_a_sine_of_what_a_layer_computed_is_float16() -> None:
    nodes = [n("MatMul", ["x", "w"], "a"), n("Sin", ["a"], "b"), n("MatMul", ["b", "w"], "y")]
    _, kept = cast(model_of(nodes, {"w": rows(8, 8)}, {"x": (FLOAT, ["n", 8])}))
    assert kept == {}


def test_counts_are_compared_in_float32_and_divide_in_float32() -> None:
    nodes = [
        n("Cast", ["lengths"], "f", to=FLOAT),
        n("Greater", ["f", "limit"], "long"),
        n("Div", ["x", "f"], "mean"),
        n("Where", ["long", "mean", "x"], "y"),
    ]
    model = model_of(nodes, {"limit": np.float32(4096)}, {"x": (FLOAT, [3]), "lengths": (INT64, [3])})
    half, kept = cast(model)
    assert kept == {"f": COUNTS, "long": COUNTS, "mean": DIVIDES_BY_COUNT}
    assert decibels(model, half, x=rows(3) * 100, lengths=np.int64([4096, 4097, 200000])) > 55


def test_pictures_of_bytes_become_float16_at_once_and_a_layer_ends_what_was_an_integer() -> None:
    for kind, names in ((UINT8, []), (INT32, ["f", "scaled"])):
        nodes = [n("Cast", ["x"], "f", to=FLOAT), n("Mul", ["f", "s"], "scaled"), n("MatMul", ["scaled", "w"], "y")]
        constants = {"s": np.float32(1 / 255), "w": rows(8, 8)}
        model = model_of(nodes, constants, {"x": (kind, ["n", 8])})
        half, kept = cast(model)
        assert list(kept) == names
        x = np.random.default_rng(0).integers(0, 255, (4, 8)).astype(helper.tensor_dtype_to_np_dtype(kind))
        assert decibels(model, half, x=x) > 55


def test_a_mean_over_masked_rows_divides_by_no_zero() -> None:
    nodes = [
        n("Cast", ["mask"], "f", to=FLOAT),
        n("Unsqueeze", ["f", "axis"], "u"),
        n("Mul", ["x", "u"], "masked"),
        n("ReduceSum", ["masked", "rows"], "total", keepdims=0),
        n("ReduceSum", ["u", "rows"], "number", keepdims=0),
        n("Clip", ["number", "least"], "safe"),
        n("Div", ["total", "safe"], "mean"),
        n("MatMul", ["mean", "w"], "y"),
    ]
    constants = {"axis": np.int64([-1]), "rows": np.int64([1]), "least": np.float32(1e-9), "w": rows(8, 8)}
    model = model_of(nodes, constants, {"x": (FLOAT, ["n", "t", 8]), "mask": (INT64, ["n", "t"])})
    half, kept = cast(model)
    assert "masked" not in kept
    assert {"number", "safe", "mean"} <= set(kept)
    mask = np.int64([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert decibels(model, half, x=rows(3, 4, 8), mask=mask) > 55


def test_what_a_constant_is_made_into_is_a_constant_too() -> None:
    nodes = [
        n("Shape", ["x"], "shape"),
        n("Expand", ["huge", "shape"], "e"),
        n("Mul", ["x", "e"], "m"),
        n("Mul", ["m", "back"], "y"),
    ]
    constants = {"huge": np.float32(1e7), "back": np.float32(1e-7)}
    model = model_of(nodes, constants, {"x": (FLOAT, [8])})
    half, kept = cast(model)
    assert list(kept) == ["e", "m", "y"]
    assert decibels(model, half, x=rows(8)) > 55
