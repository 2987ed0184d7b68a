from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.placement.architectures import bert, depthwise, resnet, u_shape
from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.affine import choose_qparams
from workers.quantization.error_metrics import sqnr_db
from workers.quantization.graph.observation import with_observed_outputs
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.placement import TENSORRT, Placement, TensorRtRules, place_for_tensorrt

RULES_WITHOUT_ATTENTION = replace(TENSORRT, products_of_activations=False)


def placed(model: onnx.ModelProto, rules: TensorRtRules = TENSORRT, **exclusions: Any) -> Placement:
    return place_for_tensorrt(lift_constants(ir.from_proto(model)), rules, **exclusions)


def int8_inputs(placement: Placement) -> set[tuple[str, int]]:
    """(node, input) of everything that reads int8, weights aside."""
    return {reader for pair in placement.pairs for reader in pair.readers or ()}


def scales(placement: Placement) -> dict[str, str]:
    return {pair.tensor: pair.scale_of for pair in placement.pairs}


def why(placement: Placement) -> dict[str, tuple[bool, str]]:
    return {d.node: (d.quantized, d.reason) for d in placement.decisions}


def written(model: onnx.ModelProto, feeds: Any, rules: TensorRtRules = TENSORRT) -> onnx.ModelProto:
    """The model with its pairs, ranges from `feeds`."""
    graph = lift_constants(ir.from_proto(model))
    placement = place_for_tensorrt(graph, rules)
    observed, names = with_observed_outputs(graph, placement.observed)
    values = dict(zip(names, run(observed, feeds, names), strict=True)) | feeds
    qparams = {
        t: choose_qparams(values[t].min(), values[t].max(), rules.schemes.activations) for t in placement.observed
    }
    insert_qdq(graph, placement, qparams)
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def run(model: onnx.ModelProto, feeds: Any, names: Any = None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # what the operators mean, not what the CPU's kernels make of them
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options).run(list(names) if names else None, feeds)


def images() -> Any:
    return {"image": np.random.default_rng(7).normal(size=(8, 3, 16, 16)).astype(np.float32)}


def tokens() -> Any:
    mask = np.ones((4, 12), np.int64)
    mask[1, 7:] = 0
    return {"ids": np.random.default_rng(7).integers(0, 64, (4, 12)), "mask": mask}


LINEAR = ("attention/self/query", "attention/self/key", "attention/self/value", "attention/output/dense",
          "intermediate/dense", "output/dense")  # fmt: skip


def bert_layer(number: int) -> set[tuple[str, int]]:
    prefix = f"/bert/encoder/layer.{number}"
    return {
        *((f"{prefix}/{name}/MatMul", 0) for name in LINEAR),
        # queries by keys, and what Softmax gives by values
        *((f"{prefix}/attention/self/{name}", i) for name in ("MatMul", "MatMul_1") for i in (0, 1)),
        # the second input is the layer normalization's result, the first comes from the linear layer
        (f"{prefix}/attention/output/Add", 1),
        (f"{prefix}/output/Add", 1),
    }


def test_what_is_int8_in_a_bert() -> None:
    assert int8_inputs(placed(bert())) == bert_layer(0) | bert_layer(1) | {("/bert/pooler/dense/Gemm", 0)}


def test_a_tensor_of_a_bert_is_quantized_once_for_all_its_readers() -> None:
    placement = placed(bert())
    # a layer: its input, queries, keys, Softmax, values, context, attention's normalization, GELU; then the pooler
    assert len(placement.pairs) == len({p.tensor for p in placement.pairs}) == 2 * 8 + 1
    readers = {p.tensor: p.readers for p in placement.pairs}["/bert/embeddings/LayerNorm/LayerNormalization_output_0"]
    self_attention = "/bert/encoder/layer.0/attention"
    assert set(readers or ()) == {
        (f"{self_attention}/self/query/MatMul", 0),
        (f"{self_attention}/self/key/MatMul", 0),
        (f"{self_attention}/self/value/MatMul", 0),
        (f"{self_attention}/output/Add", 1),
    }


def test_attention_and_residual_additions_are_switches_of_the_rules() -> None:
    placement = placed(bert(), RULES_WITHOUT_ATTENTION)
    products = {(n, i) for n, i in int8_inputs(placed(bert())) if "/self/MatMul" in n}
    assert len(products) == 8
    assert int8_inputs(placement) == int8_inputs(placed(bert())) - products
    assert why(placement)["/bert/encoder/layer.1/attention/self/MatMul"] == (
        False, "The rules leave products of two computed tensors in float.",
    )  # fmt: skip
    neither = replace(TENSORRT, products_of_activations=False, residual_identity=False)
    assert {op for n, _ in int8_inputs(placed(bert(), neither)) for op in [n.rpartition("/")[2]]} == {"MatMul", "Gemm"}
    assert why(placed(bert(), neither))["/bert/encoder/layer.0/output/Add"][0] is False


def test_every_candidate_of_a_bert_has_a_decision_and_embeddings_stay_float() -> None:
    decisions = placed(bert()).decisions
    quantized = [d.op_type for d in decisions if d.quantized]
    assert {op: quantized.count(op) for op in set(quantized)} == {"MatMul": 2 * (6 + 2), "Add": 2 * 2, "Gemm": 1}
    left = [(d.op_type, d.reason) for d in decisions if not d.quantized]
    # words and positions; the table of two token types is too small to be anybody's question
    assert left == [("Gather", "Embedding tables stay float for TensorRT.")] * 2
    assert all(d.reason.endswith(".") for d in decisions)


def test_what_is_int8_in_a_resnet() -> None:
    placement = placed(resnet())
    assert int8_inputs(placement) == {
        ("stem", 0), ("pool", 0), ("a1", 0), ("a2", 0), ("add_a", 1), ("b1", 0), ("projection", 0), ("b2", 0),
        # the main branch has two convolutions, the shortcut one: the shortcut is the identity
        ("add_b", 0), ("average", 0), ("head", 0),
    }  # fmt: skip
    assert scales(placement) == {
        "image": "image",
        "relu0_out": "relu0_out",
        "pool_out": "relu0_out",
        "relu_a1_out": "relu_a1_out",
        "relu_a_out": "relu_a_out",
        "relu_b1_out": "relu_b1_out",
        "projection_out": "projection_out",
        "relu_b_out": "relu_b_out",
        "flatten_out": "average_out",
    }
    assert why(placement)["add_b"] == (
        True, "int8 identity branch; the other one stays float and is added inside b2.",
    )  # fmt: skip


def test_what_is_int8_in_a_depthwise_network() -> None:
    placement = placed(depthwise())
    convolutions = {"stem", "depth1", "point1", "expand", "depth2", "project"}
    # both branches of the residual come from convolutions; the longer way is the main branch
    assert int8_inputs(placement) == {(c, 0) for c in convolutions} | {("residual", 0), ("average", 0), ("head", 0)}
    assert {p.tensor for p in placement.pairs if ("residual", 0) in (p.readers or ())} == {"point1_out"}


def test_joined_tensors_have_the_scale_of_what_they_are_joined_to() -> None:
    placement = placed(u_shape())
    joined = "dense_join_out"  # it contains the inner Concat's result
    assert scales(placement) == {
        "image": "image", "relu1_out": joined, "relu2_out": "relu2_out", "up_out": joined, "join_out": joined,
        "relu3_out": joined, "dense_join_out": joined,
    }  # fmt: skip
    assert joined in placement.observed
    assert not {"relu1_out", "up_out", "join_out", "relu3_out"} & set(placement.observed)


def test_a_tensor_of_two_joins_gets_a_pair_for_each() -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(2, 4, 1, 1), v=(2, 2, 1, 1))
    nodes = [
        n("Conv", ["x", "v"], ["a"], name="a"), n("Conv", ["x", "v"], ["b"], name="b"),
        n("Concat", ["a", "b"], ["ab"], name="ab", axis=1), n("Concat", ["a", "x"], ["ax"], name="ax", axis=1),
        n("Conv", ["ab", "w"], ["y"], name="y"), n("Conv", ["ax", "w"], ["z"], name="z"),
    ]  # fmt: skip
    model = model_of(nodes, weights, inputs={"x": [1, 2, 4, 4]}, outputs={"y": [1, 2, 4, 4], "z": [1, 2, 4, 4]})
    pairs = {(p.tensor, p.scale_of, p.readers) for p in placed(model).pairs if p.tensor == "a"}
    assert pairs == {("a", "ab", (("ab", 0),)), ("a", "ax", (("ax", 0),))}
    feeds = {"x": np.random.default_rng(1).normal(size=(1, 2, 4, 4)).astype(np.float32)}
    built = written(model, feeds)
    assert len({node.name for node in built.graph.node}) == len(built.graph.node)
    assert_joins_are_equal(built)


@pytest.mark.parametrize("make", [bert, resnet, depthwise, u_shape])
def test_what_is_written_is_what_tensorrt_reads(make: Any) -> None:
    feeds = tokens() if make is bert else images()
    model = make()
    built = written(model, feeds)
    constants = {t.name: numpy_helper.to_array(t) for t in built.graph.initializer}
    producers = {o: node for node in built.graph.node for o in node.output}
    for node in built.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            zero_point = constants[node.input[2]]
            assert zero_point.dtype == np.int8
            assert not zero_point.any()
            assert node.input[0] not in constants or constants[node.input[0]].dtype == np.int8
    assert not [t for t in built.graph.initializer if t.data_type == TensorProto.INT32]
    assert {producers[o.name].op_type for o in built.graph.output}.isdisjoint({"QuantizeLinear", "DequantizeLinear"})
    assert_joins_are_equal(built)
    reference, answer = run(model, feeds)[0], run(built, feeds)[0]
    ratio = sqnr_db(reference, answer)
    assert ratio is not None
    assert ratio > 20.0


def assert_joins_are_equal(built: onnx.ModelProto) -> None:
    constants = {t.name: numpy_helper.to_array(t) for t in built.graph.initializer}
    producers = {o: node for node in built.graph.node for o in node.output}
    readers = {i: node for node in built.graph.node for i in node.input}
    for join in (n for n in built.graph.node if n.op_type == "Concat" and n.input[0].endswith("_dequantized")):
        inputs = {float(constants[producers[i].input[1]]) for i in join.input}
        assert inputs == {float(constants[readers[join.output[0]].input[1]])}


def test_a_transposed_convolution_has_one_scale_for_its_weight() -> None:
    built = written(u_shape(), images())
    shapes = {t.name: list(t.dims) for t in built.graph.initializer}
    assert shapes["up_w_scale"] == []
    assert shapes["down_w_scale"] == [8]


@pytest.mark.parametrize(
    ("shape", "weight", "options"),
    [(["n", 8], (8, 1), {}), (["n", 8], (1, 8), {"transB": 1}), ([1, 8], (8, 4), {})],
    ids=["one column", "one column transposed", "one row"],
)
def test_matrix_by_vector_stays_float(shape: Any, weight: Any, options: Any) -> None:
    columns = weight[0] if options else weight[1]
    model = model_of(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name="product", **options)],
        random_weights(np.random.default_rng(0), w=weight), inputs={"x": shape}, outputs={"y": [shape[0], columns]},
    )  # fmt: skip
    placement = placed(model)
    assert placement.pairs == placement.weights == ()
    assert "single row or column" in why(placement)["product"][1]


def residual_of_a_linear(*, other: str = "x", other_shape: Any = ("n", 8), extra: Any = ()) -> onnx.ModelProto:
    """The sum of x @ w and another tensor, and w again behind it so that something reads the sum."""
    n = helper.make_node
    nodes = [
        n("MatMul", ["x", "w"], ["h"], name="linear"),
        *extra,
        n("Add", [other, "h"], ["a"], name="add"),
        n("MatMul", ["a", "w"], ["y"], name="after"),
    ]
    inputs = {"x": ["n", 8]} | ({} if other == "x" else {"o": list(other_shape)})
    weights = random_weights(np.random.default_rng(0), w=(8, 8)) | {"one": np.ones(1, np.float32)}
    return model_of(nodes, weights, inputs=inputs, outputs={"y": ["n", 8]})


def test_the_identity_branch_is_found_on_either_side() -> None:
    assert ("add", 0) in int8_inputs(placed(residual_of_a_linear()))


def test_a_mask_is_no_identity_branch() -> None:
    n = helper.make_node
    extra = [n("Cast", ["o"], ["i"], name="to_bool", to=TensorProto.BOOL), n("Cast", ["i"], ["m"], name="mask", to=1)]
    placement = placed(residual_of_a_linear(other="m", extra=extra))
    assert why(placement)["add"] == (False, "One of its inputs is a mask or a position, not data.")


def test_a_broadcast_addition_is_no_residual() -> None:
    model = residual_of_a_linear(other="o", other_shape=("n", 1))
    placement = placed(onnx.shape_inference.infer_shapes(model))  # what nobody inferred is taken for equal
    assert "differ in shape" in why(placement)["add"][1]
    assert not {reader for reader in int8_inputs(placement) if reader[0] == "add"}


def test_an_addition_whose_layer_has_other_readers_stays_float_and_says_so() -> None:
    extra = [helper.make_node("MatMul", ["h", "w"], ["o2"], name="second")]
    n = helper.make_node
    nodes = [
        n("MatMul", ["x", "w"], ["h"], name="linear"), *extra,
        n("Add", ["x", "h"], ["a"], name="add"), n("Mul", ["a", "o2"], ["y"], name="gate"),
    ]  # fmt: skip
    weights = random_weights(np.random.default_rng(0), w=(8, 8))
    placement = placed(model_of(nodes, weights, inputs={"x": ["n", 8]}, outputs={"y": ["n", 8]}))
    assert why(placement)["add"][0] is False
    assert "Other operators read" in why(placement)["add"][1]


def test_positions_are_not_quantized_though_they_are_multiplied() -> None:
    n = helper.make_node
    nodes = [
        n("Cast", ["t"], ["i"], name="ids", to=TensorProto.INT64),
        n("Cast", ["i"], ["p"], name="positions", to=TensorProto.FLOAT),
        n("MatMul", ["p", "p"], ["y"], name="angles"),
    ]
    model = model_of(nodes, {}, inputs={"t": [4, 4]}, outputs={"y": [4, 4]})
    placement = placed(model)
    assert placement.pairs == ()
    assert why(placement)["angles"] == (False, "One of its inputs is a mask or a position, not data.")


def test_recipes_exclude_nodes_and_types_here_too() -> None:
    placement = placed(resnet(), op_types_to_exclude=["Gemm"], nodes_to_exclude=["add_b", "pool", "a1"])
    assert int8_inputs(placement) == {
        ("stem", 0), ("a2", 0), ("add_a", 1), ("b1", 0), ("projection", 0), ("b2", 0),
    }  # fmt: skip
    assert why(placement)["head"] == (False, "The recipe excludes this operator type.")
    assert why(placement)["add_b"] == (False, "The recipe excludes this node.")


def test_a_join_at_the_output_or_with_a_constant_stays_float() -> None:
    n = helper.make_node
    weights = random_weights(np.random.default_rng(0), w=(2, 2, 1, 1), v=(2, 4, 1, 1), k=(1, 2, 4, 4))
    nodes = [
        n("Conv", ["x", "w"], ["a"], name="a"),
        n("Concat", ["a", "k"], ["ak"], name="with_constant", axis=1),
        n("Conv", ["ak", "v"], ["b"], name="b"),
        n("Concat", ["a", "b"], ["ab"], name="at_output", axis=1),
        n("Conv", ["ab", "v"], ["y"], name="y"),
    ]
    model = model_of(nodes, weights, inputs={"x": [1, 2, 4, 4]}, outputs={"y": [1, 2, 4, 4], "ab": [1, 4, 4, 4]})
    assert int8_inputs(placed(model)) == {("a", 0), ("b", 0), ("y", 0)}
