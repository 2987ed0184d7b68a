from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.placement.architectures import bert, u_shape
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.placement import place_for_onnxruntime_cpu as place
from workers.quantization.placement import place_for_tensorrt


def prepared(model: onnx.ModelProto) -> ir.Model:
    graph = lift_constants(ir.from_proto(model))
    fold_batch_norm(graph)
    return graph


def reasons(placement: Any) -> dict[str, str]:
    return {d.node: d.reason for d in placement.decisions if not d.quantized}


def test_integers_flow_through_a_convolutional_network() -> None:
    placement = place(prepared(residual_cnn()))
    assert [w.node for w in placement.weights] == ["stem", "branch", "last", "head"]
    scale_of = {p.tensor: p.scale_of for p in placement.pairs}
    # the pool and the flatten share their input's scale; r1 and r2 are behind the relu that the kernel absorbs
    assert scale_of == {
        "x": "x", "r1": "r1", "c2": "c2", "r2": "r2", "p": "r2", "r3": "r3", "q": "q", "f": "q"
    }  # fmt: skip
    assert set(placement.observed) == {"x", "r1", "c2", "r2", "r3", "q"}


def test_the_output_of_the_model_is_never_quantized() -> None:
    assert "y" not in {p.tensor for p in place(prepared(residual_cnn())).pairs}


def test_a_matmul_quantizes_its_input_for_itself_only() -> None:
    placement = place(prepared(two_matmuls()))
    assert {(p.tensor, p.readers) for p in placement.pairs} == {("x", (("up", 0),)), ("r", (("down", 0),))}


def test_a_residual_add_of_floats_stays_float() -> None:
    n = helper.make_node
    nodes = [
        n("MatMul", ["x", "w"], ["m"], name="mm"),
        n("Add", ["m", "x"], ["a"], name="residual"),
        n("MatMul", ["a", "w"], ["y"], name="mm2"),
    ]
    weights = random_weights(np.random.default_rng(0), w=(8, 8))
    placement = place(prepared(model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs={"y": ["n", 8]})))
    assert "residual" not in {d.node for d in placement.decisions}
    assert {p.tensor for p in placement.pairs} == {"x", "a"}


def test_a_convolution_at_the_output_is_left_in_float_and_says_so() -> None:
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 3, 3))
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        weights, inputs={"x": ["n", 3, 6, 6]}, outputs={"y": ["n", 4, 4, 4]},
    )  # fmt: skip
    placement = place(prepared(model))
    assert placement.weights == ()
    assert "output of the model" in reasons(placement)["conv"]


def test_exclusions_are_honoured_and_reported() -> None:
    placement = place(prepared(residual_cnn()), op_types_to_exclude=["Gemm"], nodes_to_exclude=["branch", "pool"])
    assert [w.node for w in placement.weights] == ["stem", "last"]
    assert reasons(placement) == {
        "head": "The recipe excludes this operator type.",
        "branch": "The recipe excludes this node.",
    }


def test_an_excluded_activation_is_not_absorbed_by_the_convolution_before_it() -> None:
    """Integers end before the Clip and begin again behind it."""
    excluded = place(prepared(residual_cnn()), nodes_to_exclude=["clip"])
    assert [w.node for w in excluded.weights] == ["stem", "branch", "last", "head"]
    assert "c3" in {pair.tensor for pair in excluded.pairs}
    assert "c3" not in {pair.tensor for pair in place(prepared(residual_cnn())).pairs}


def test_a_convolution_behind_an_excluded_activation_at_the_output_is_quantized() -> None:
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 3, 3))
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="conv"), helper.make_node("Relu", ["c"], ["y"], name="r")]
    model = model_of(nodes, weights, inputs={"x": ["n", 3, 6, 6]}, outputs={"y": ["n", 4, 4, 4]})
    assert place(prepared(model)).weights == ()
    assert [w.node for w in place(prepared(model), op_types_to_exclude=["Relu"]).weights] == ["conv"]


def test_products_of_two_computed_tensors_and_half_weights_say_why_they_stay() -> None:
    n = helper.make_node
    nodes = [
        n("MatMul", ["x", "x"], ["m"], name="dynamic"),
        n("MatMul", ["m", "w3"], ["y"], name="batched"),
    ]
    weights = random_weights(np.random.default_rng(0), w3=(2, 4, 4))
    placement = place(prepared(model_of(nodes, weights, inputs={"x": [2, 4, 4]}, outputs={"y": [2, 4, 4]})))
    assert "run time" in reasons(placement)["dynamic"]
    assert "3 dimensions" in reasons(placement)["batched"]


def encoder(number: int) -> set[tuple[str, int]]:
    names = ("attention/self/query", "attention/self/key", "attention/self/value", "attention/output/dense",
             "intermediate/dense", "output/dense")  # fmt: skip
    return {(f"/bert/encoder/layer.{number}/{name}/MatMul", 0) for name in names}


def test_linear_layers_and_embeddings_of_a_bert_become_integers_and_nothing_else() -> None:
    placement = place(prepared(bert()))
    readers = {reader for pair in placement.pairs for reader in pair.readers or ()}
    assert readers == encoder(0) | encoder(1) | {("/bert/pooler/dense/Gemm", 0)}
    # queries, keys and values read one quantized tensor
    assert len(placement.pairs) == 2 * 4 + 1
    tables = {w.node for w in placement.weights if w.op_type == "Gather"}
    assert tables == {f"/bert/embeddings/{name}_embeddings/Gather" for name in ("word", "position")}
    left = [d for d in placement.decisions if not d.quantized]
    # the two products of attention
    assert {d.node.rpartition("/")[2] for d in left} == {"MatMul", "MatMul_1"}
    assert len(left) == 2 * 2
    assert {d.reason for d in left} == {
        "Both of its inputs are computed at run time; only constant weights become integers."
    }


def test_a_transposed_convolution_has_no_integer_kernel_here() -> None:
    assert "no integer kernel" in reasons(place(prepared(u_shape())))["up"]


@pytest.mark.parametrize(
    ("attributes", "bias", "reason"),
    [
        ({"alpha": 0.5}, (4,), "alpha and beta"),
        ({"beta": 0.5}, (4,), "alpha and beta"),
        ({"transA": 1}, (4,), "transposed"),
        ({}, (8, 4), "one per channel"),
    ],
)
def test_a_gemm_that_is_more_than_a_product_and_a_bias_stays_and_says_why(
    attributes: Any, bias: Any, reason: str
) -> None:
    model = model_of(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="gemm", **attributes)],
        random_weights(np.random.default_rng(0), w=(8, 4), b=bias), inputs={"x": [8, 8]}, outputs={"y": [8, 4]},
    )  # fmt: skip
    assert reason in reasons(place(prepared(model)))["gemm"]


def test_a_constant_on_the_left_of_a_product_is_named_as_the_reason() -> None:
    weights = random_weights(np.random.default_rng(0), w=(4, 8))
    model = model_of(
        [helper.make_node("MatMul", ["w", "x"], ["y"], name="product")],
        weights, inputs={"x": [8, 3]}, outputs={"y": [4, 3]},
    )  # fmt: skip
    for place_for_target in (place, place_for_tensorrt):
        assert "constant is the first input" in reasons(place_for_target(prepared(model)))["product"]
