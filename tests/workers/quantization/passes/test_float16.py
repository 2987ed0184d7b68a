import io
import warnings
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import transformers
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tests.real_data import READERS
from tests.workers.quantization.small_models import model_of, residual_cnn
from workers.quantization.graph.opset import raise_opset
from workers.quantization.half.constants import Misfit
from workers.quantization.half.sizes import COUNTS
from workers.quantization.passes.float16 import Float16Report, TypesUnknown, cast_to_float16
from workers.quantization.passes.lift_constants import lift_constants

n = helper.make_node


def cast(model: onnx.ModelProto, **options: Any) -> tuple[onnx.ModelProto, Float16Report]:
    lifted = lift_constants(ir.from_proto(model))
    report = cast_to_float16(lifted, **options)
    result = ir.to_proto(lifted)
    onnx.checker.check_model(result, full_check=True)
    return result, report


def run(model: onnx.ModelProto, **feeds: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(None, feeds)


class GatherElements(OpRun):
    """In place of the reference's own, which fails on indices of one row."""

    op_domain = ""

    def _run(self, data: Any, indices: Any, axis: int = 0) -> Any:
        return (np.take_along_axis(data, indices, axis),)


def run_exactly(model: onnx.ModelProto, **feeds: Any) -> Any:
    """By ONNX's reference: ONNX Runtime on a CPU casts back to float32 and leaves out casts that cancel."""
    return ReferenceEvaluator(model, new_ops=[GatherElements]).run(None, feeds)


def relative_error(model: onnx.ModelProto, half: onnx.ModelProto, *, runner: Any = run, **feeds: Any) -> float:
    pairs = zip(run(model, **feeds), runner(half, **feeds), strict=True)
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)


def types(model: onnx.ModelProto) -> dict[str, int]:
    held = {t.name: t.data_type for t in model.graph.initializer}
    return held | {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}


def interface(model: onnx.ModelProto) -> Any:
    return [v.SerializeToString() for v in (*model.graph.input, *model.graph.output)]


def inputs_of(model: onnx.ModelProto, op_type: str) -> list[str]:
    return next(list(node.input) for node in model.graph.node if node.op_type == op_type)


def rows(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_small_network_computes_in_float16_between_float32_ends() -> None:
    model = residual_cnn()
    half, report = cast(model)
    assert interface(half) == interface(model)
    assert set(types(half).values()) - {TensorProto.FLOAT16} <= {TensorProto.FLOAT}
    assert all(types(half)[name] == TensorProto.FLOAT16 for name in ("c1", "r2", "p", "q"))
    # the two limits of the input's Clip, and no weight
    assert [t.dims for t in half.graph.initializer if t.data_type == TensorProto.FLOAT] == [[], []]
    # four weighted layers, each rounding to 2^-11 its input, weight and output: 12 * 2^-11 = 0.6 %
    for runner in (run, run_exactly):
        assert relative_error(model, half, runner=runner, x=rows(4, 3, 8, 8)) < 0.006
    assert report == Float16Report({}, {})


def test_casting_twice_adds_casts_at_the_ends_only() -> None:
    model = residual_cnn()
    once, _ = cast(model)
    twice, _ = cast(once)
    assert relative_error(model, twice, x=rows(4, 3, 8, 8)) < 0.006


def test_the_direction_classifier_keeps_its_answers() -> None:
    model = raise_opset(onnx.load_model(next(p for p in READERS if "cls" in p.name)))
    name = model.graph.input[0].name
    half, report = cast(model)
    x = np.clip(rows(4, 3, 48, 192), -1, 1)
    # 53 layers of convolutions in a row lose more than four; their probabilities still agree to a percent
    assert relative_error(model, half, **{name: x}) < 0.01
    assert len(half.SerializeToString()) < 0.6 * len(model.SerializeToString())
    assert report.kept == {}


@pytest.fixture(scope="module")
def bert() -> Any:
    """(model, feeds): two layers of random weights; the second row has three padded tokens."""

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = transformers.BertConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
                vocab_size=100,
                attn_implementation="eager",
            )
            self.bert = transformers.BertModel(config)

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state

    torch.manual_seed(0)
    ids = torch.randint(0, 100, (2, 7))
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 4:] = 0
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about tracing
        torch.onnx.export(
            Encoder().eval(),
            (ids, mask),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["ids", "mask"],
            output_names=["hidden"],
            dynamic_axes={"ids": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}},
        )
    return onnx.load_model_from_string(file.getvalue()), {"ids": ids.numpy(), "mask": mask.numpy()}


def test_the_mask_of_a_transformer_is_clamped_and_makes_no_nan(bert: Any) -> None:
    model, feeds = bert
    half, _ = cast(model)
    for runner in (run, run_exactly):
        assert np.isfinite(runner(half, **feeds)[0]).all()
        assert relative_error(model, half, runner=runner, **feeds) < 0.006
    # padding still hides: other padded tokens change nothing in the tokens that count
    other = feeds["ids"].copy()
    other[1, 4:] = 99 - other[1, 4:]
    np.testing.assert_array_equal(run(half, ids=other, mask=feeds["mask"])[0][1, :4], run(half, **feeds)[0][1, :4])


def test_a_row_that_is_all_padding_makes_no_nan(bert: Any) -> None:
    model, feeds = bert
    nothing = np.zeros_like(feeds["mask"])
    for runner in (run, run_exactly):
        assert np.isfinite(runner(cast(model)[0], ids=feeds["ids"], mask=nothing)[0]).all()


def test_every_table_and_weight_of_a_transformer_is_halved(bert: Any) -> None:
    model, _ = bert
    half, report = cast(model)
    assert [t.name for t in half.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) > 1] == []
    # the mask, an integer at first
    assert set(report.kept.values()) <= {COUNTS}


def test_a_mask_that_the_caller_gives_is_clamped_too() -> None:
    nodes = [n("Add", ["x", "mask"], ["s"]), n("Softmax", ["s"], ["y"])]
    model = model_of(nodes, {}, inputs={"x": [1, 4], "mask": [1, 4]}, outputs={"y": [1, 4]})
    half, _ = cast(model)
    lowest = np.finfo(np.float32).min
    for runner in (run, run_exactly):
        y = runner(half, x=np.zeros((1, 4), np.float32), mask=np.float32([[0, lowest, 0, lowest]]))[0]
        assert y.tolist() == [[0.5, 0.0, 0.5, 0.0]]
        assert np.isfinite(runner(half, x=rows(1, 4), mask=np.full((1, 4), lowest))[0]).all()


def test_the_scales_of_a_resize_stay_float32() -> None:
    nodes = [n("Resize", ["x", "", "scales"], ["r"], mode="nearest"), n("Relu", ["r"], ["y"])]
    scales = np.float32([1, 1, 2, 2])
    model = model_of(nodes, {"scales": scales}, inputs={"x": [1, 1, 3, 3]}, outputs={"y": [1, 1, 6, 6]})
    half, report = cast(model)
    assert types(half)[inputs_of(half, "Resize")[2]] == TensorProto.FLOAT
    assert types(half)["r"] == TensorProto.FLOAT16
    assert report.kept == {}
    x = rows(1, 1, 3, 3)
    # rounding the input is all that happens
    np.testing.assert_allclose(run(half, x=x)[0], run(model, x=x)[0], rtol=2.0**-11)


def test_operators_on_the_list_stay_float32_and_are_named() -> None:
    # 3000 ones: float16 would stop counting at 2048
    nodes = [
        n("Mul", ["x", "one"], ["m"]),
        n("CumSum", ["m", "axis"], ["c"], name="count"),
        n("Sub", ["c", "shift"], ["y"]),
    ]
    constants = {"one": np.float32(1), "axis": np.int64(0), "shift": np.float32(2900)}
    model = model_of(nodes, constants, inputs={"x": [3000]}, outputs={"y": [3000]})
    half, report = cast(model)
    assert report.kept == {"count": "CumSum stays float32."}
    for runner in (run, run_exactly):
        assert runner(half, x=np.ones(3000, np.float32))[0][-1] == 100.0
    careless, report = cast(model, op_types_to_keep=())
    assert report.kept == {}
    assert types(careless)["c"] == TensorProto.FLOAT16


def test_a_range_stays_float32_because_it_counts() -> None:
    nodes = [n("Range", ["start", "limit", "step"], ["r"], name="range"), n("Add", ["r", "x"], ["y"])]
    constants = {"start": np.float32(0), "step": np.float32(1)}
    model = model_of(nodes, constants, inputs={"x": [5], "limit": []}, outputs={"y": [5]})
    half, report = cast(model, op_types_to_keep=())
    assert report.kept == {"range": COUNTS}
    assert run(half, x=np.ones(5, np.float32), limit=np.array(5, np.float32))[0].tolist() == [1, 2, 3, 4, 5]


def test_nodes_can_be_kept_by_name() -> None:
    model = residual_cnn()
    half, report = cast(model, nodes_to_keep=["head"])
    assert report.kept == {"head": "It was asked to stay float32."}
    assert types(half)[inputs_of(half, "Gemm")[1]] == TensorProto.FLOAT
    assert relative_error(model, half, x=rows(4, 3, 8, 8)) < 0.006


def test_a_weight_that_both_types_read_is_there_twice() -> None:
    nodes = [n("MatMul", ["x", "w"], ["a"]), n("MatMul", ["a", "w"], ["y"], name="kept")]
    model = model_of(nodes, {"w": rows(4, 4)}, inputs={"x": [2, 4]}, outputs={"y": [2, 4]})
    half, _ = cast(model, nodes_to_keep=["kept"])
    held = [t.data_type for t in half.graph.initializer if list(t.dims) == [4, 4]]
    assert sorted(held) == [TensorProto.FLOAT, TensorProto.FLOAT16]
    assert relative_error(model, half, x=rows(2, 4)) < 0.003


def test_an_output_that_the_graph_reads_too_is_given_out_as_float32() -> None:
    nodes = [n("Relu", ["x"], ["mid"]), n("Exp", ["mid"], ["y"])]
    model = model_of(nodes, {}, inputs={"x": [3]}, outputs={"mid": [3], "y": [3]})
    half, _ = cast(model)
    assert interface(half) == interface(model)
    assert relative_error(model, half, x=rows(3)) < 0.003


def test_masks_and_limits_that_do_not_fit_are_clamped_and_reported_by_name() -> None:
    nodes = [
        n("Greater", ["x", "limit"], ["c"]),
        n("Where", ["c", "hidden", "x"], ["m"]),
        n("Softmax", ["m"], ["y"]),
    ]
    constants = {"limit": np.float32(1e6), "hidden": np.float32(-1e9)}
    model = model_of(nodes, constants, inputs={"x": [2]}, outputs={"y": [2]})
    _, report = cast(model)
    assert report.misfits == {"limit": (Misfit("clamped", 1),), "hidden": (Misfit("clamped", 1),)}
    assert report.kept == {}


def test_shapes_are_counted_in_float32() -> None:
    # the old way to double a size: through floats. 2 * 4001 = 8002, which float16 cannot hold (8000)
    info = helper.make_tensor_value_info
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        n("Mul", ["f", "two"], ["d"], name="double"),
        n("Cast", ["d"], ["i"], to=TensorProto.INT64),
        n("ConstantOfShape", ["i"], ["z"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [-3e38])),
        n("ReduceMax", ["x"], ["m"], keepdims=0),
        n("Max", ["z", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", TensorProto.FLOAT, ["t"])],
        [info("y", TensorProto.FLOAT, ["u"])],
        [numpy_helper.from_array(np.float32([2]), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    half, report = cast(model)
    for runner in (run, run_exactly):
        y = runner(half, x=np.full(4001, 0.5, np.float32))[0]
        assert y.shape == (8002,)
        assert set(y.tolist()) == {0.5}
    assert report.kept["double"] == COUNTS
    # what is made in that shape is data, and its fill is a constant like any other
    made = next(node for node in half.graph.node if node.op_type == "ConstantOfShape")
    assert numpy_helper.to_array(made.attribute[0].t).tolist() == [-65504.0]
    assert numpy_helper.to_array(made.attribute[0].t).dtype == np.float16
    assert report.misfits == {made.name: (Misfit("clamped", 1),)}


def test_booleans_become_float16_at_once() -> None:
    nodes = [
        n("Relu", ["x"], ["r"]),
        n("Greater", ["r", "r"], ["c"]),
        n("Cast", ["c"], ["f"], to=1),
        n("Add", ["f", "r"], ["y"]),
    ]
    half, _ = cast(model_of(nodes, {}, inputs={"x": [3]}, outputs={"y": [3]}))
    targets = [node.attribute[0].i for node in half.graph.node if node.op_type == "Cast"]
    # the input, the booleans, the output
    assert targets == [TensorProto.FLOAT16, TensorProto.FLOAT16, TensorProto.FLOAT]


def test_a_graph_inside_an_operator_stays_float32() -> None:
    info = helper.make_tensor_value_info
    then = helper.make_graph([n("Mul", ["h", "w"], ["t"])], "then", [], [info("t", TensorProto.FLOAT, [3])])
    other = helper.make_graph([n("Sub", ["h", "w"], ["e"])], "other", [], [info("e", TensorProto.FLOAT, [3])])
    nodes = [
        n("Relu", ["x"], ["h"]),
        n("ReduceMax", ["x"], ["m"], keepdims=0),
        n("Greater", ["m", "zero"], ["c"]),
        n("If", ["c"], ["r"], name="if", then_branch=then, else_branch=other),
        n("Add", ["r", "w"], ["y"]),
    ]
    constants = {"zero": np.float32(0), "w": np.float32([1, 2, 3])}
    model = model_of(nodes, constants, inputs={"x": [3]}, outputs={"y": [3]})
    half, report = cast(model)
    assert report.kept == {"if": "It holds a graph of its own, which is left as it is."}
    for x in (np.float32([1, 2, 3]), np.float32([-1, -2, -3])):
        np.testing.assert_array_equal(run(half, x=x), run(model, x=x))


def test_a_layer_norm_that_gives_its_statistics_has_them_in_float32() -> None:
    nodes = [n("LayerNormalization", ["x", "g"], ["y", "mean", "inverse"])]
    model = model_of(
        nodes,
        {"g": np.ones(8, np.float32)},
        inputs={"x": [2, 8]},
        outputs={"y": [2, 8], "mean": [2, 1], "inverse": [2, 1]},
    )
    half, _ = cast(model)
    assert interface(half) == interface(model)
    assert relative_error(model, half, x=rows(2, 8)) < 0.006


def test_an_operator_of_unknown_type_is_refused() -> None:
    model = residual_cnn()
    model.graph.node[2].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(TypesUnknown, match="r1"):
        cast_to_float16(ir.from_proto(model))
