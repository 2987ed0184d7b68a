"""What a recipe leaves in float is there, is left in float, and is asked for in the same words with every method."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.pipeline.jobs import done, quantized
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.protocol.outcome import Refused

METHODS = ["int8-fast", "int8-dynamic", "float16"]
n = helper.make_node


def images() -> Any:
    return {"x": np.random.default_rng(0).normal(size=(40, 3, 8, 8)).astype(np.float32)}


def delivered(folder: Path) -> onnx.GraphProto:
    """The graph of the portable file."""
    (path,) = [p for p in (folder / "outputs").glob("*.onnx") if not p.stem.endswith("_ort")]
    return onnx.load(path).graph


def refusal(folder: Path, model: onnx.ModelProto, feeds: Any, **recipe: Any) -> Any:
    outcome = done(folder, model, feeds, **recipe)
    assert isinstance(outcome, Refused), outcome
    return outcome.problem


@pytest.mark.parametrize("preset", METHODS)
def test_nodes_that_do_not_exist_are_all_named_with_what_comes_close(tmp_path: Path, preset: str) -> None:
    names = ("head", "residuall", "conv.Encoder", "norm")
    found = refusal(tmp_path, residual_cnn(), images(), preset=preset, nodes_to_exclude=names)
    assert (found.code, found.stage) == ("recipe_node_not_found", "inspect")
    assert [(e.pointer, e.entry) for e in found.errors] == [
        ("/recipe/nodes_to_exclude", "residuall"), ("/recipe/nodes_to_exclude", "conv.Encoder"),
    ]  # fmt: skip
    assert "residual" in found.hint.split("Close to residuall:")[1]
    assert "first nodes: stem, norm, relu1" in found.hint


def within_modules() -> onnx.ModelProto:
    """Two products whose names tell of modules, as exporters spell them."""
    model = two_matmuls()
    for node, name in zip(model.graph.node, ("up", "act", "down", "down"), strict=True):
        node.name = f"/encoder/layers.0/{name}/{node.op_type}"
    return model


@pytest.mark.parametrize("module", ["encoder.layers.0.down", "/encoder/layers.0/down", "layers.0.down"])
def test_a_module_stands_for_no_node_and_the_hint_offers_those_in_it(tmp_path: Path, module: str) -> None:
    feeds = {"x": np.zeros((8, 3, 16), np.float32)}
    found = refusal(tmp_path, within_modules(), feeds, preset="float16", nodes_to_exclude=(module,))
    assert "/encoder/layers.0/down/MatMul, /encoder/layers.0/down/Add" in found.hint
    assert "that of a module" in found.hint


def with_branches() -> onnx.ModelProto:
    """A product, and beside it another in both branches of an If."""

    def branch(name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
        return helper.make_graph([n("MatMul", ["x", "w2"], [f"{name}_out"], name=f"{name}_product")], name, [], [out])

    nodes = [
        n("MatMul", ["x", "w1"], ["m"], name="first"),
        n("ReduceMax", ["x"], ["top"], name="top", keepdims=0),
        n("Greater", ["top", "zero"], ["yes"], name="compare"),
        n("If", ["yes"], ["b"], name="choice", then_branch=branch("then"), else_branch=branch("else")),
        n("Add", ["m", "b"], ["y"], name="sum"),
    ]
    weights = random_weights(np.random.default_rng(0), w1=(16, 4), w2=(16, 4)) | {"zero": np.zeros((), np.float32)}
    return model_of(nodes, weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 4]})


@pytest.mark.parametrize("preset", METHODS)
def test_a_node_inside_a_body_exists(tmp_path: Path, preset: str) -> None:
    feeds = {"x": np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)}
    quantized(tmp_path, with_branches(), feeds, preset=preset, nodes_to_exclude=("then_product",))
    (choice,) = [node for node in delivered(tmp_path).node if node.op_type == "If"]
    assert [node.op_type for node in choice.attribute[0].g.node] == ["MatMul"]


@pytest.mark.parametrize("preset", METHODS)
@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"nodes_to_exclude": ("norm",)}, "BatchNormalization"),
        ({"op_types_to_exclude": ("BatchNormalization",)}, "BatchNormalization"),
        ({"nodes_to_exclude": ("relu1", "clip")}, "Clip"),
    ],
)
def test_what_preparation_would_take_in_stays_a_float_operator(
    tmp_path: Path, preset: str, change: Any, kept: str
) -> None:
    quantized(tmp_path, residual_cnn(), images(), preset=preset, **change)
    graph = delivered(tmp_path)
    (node,) = [node for node in graph.node if node.op_type == kept and node.name in {"norm", "clip"}]
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert {weights[name] for name in node.input if name in weights} == {TensorProto.FLOAT}


@pytest.mark.parametrize("preset", METHODS)
def test_an_addition_that_is_excluded_stays_beside_its_convolution(tmp_path: Path, preset: str) -> None:
    weights = random_weights(np.random.default_rng(0), w=(8, 3, 3, 3), k=(1, 8, 1, 1), v=(4, 8, 3, 3))
    nodes = [
        n("Conv", ["x", "w"], ["c"], name="conv"), n("Add", ["c", "k"], ["a"], name="offset"),
        n("Conv", ["a", "v"], ["d"], name="next"), n("Relu", ["d"], ["y"], name="relu"),
        n("GlobalAveragePool", ["y"], ["p"], name="pool"), n("Flatten", ["p"], ["z"], name="flatten"),
    ]  # fmt: skip
    model = model_of(nodes, weights, inputs={"x": ["n", 3, 8, 8]}, outputs={"z": ["n", 4]})
    if preset == "int8-dynamic":  # which has nothing to do with convolutions
        model = _with_head(model)
    quantized(tmp_path, model, images(), preset=preset, nodes_to_exclude=("offset",))
    graph = delivered(tmp_path)
    (add,) = [node for node in graph.node if node.name == "offset"]
    (offset,) = [tensor for tensor in graph.initializer if tensor.name in add.input]
    assert offset.data_type == TensorProto.FLOAT


def _with_head(model: onnx.ModelProto) -> onnx.ModelProto:
    head = numpy_helper.from_array(np.ones((4, 4), np.float32), "head")
    model.graph.initializer.append(head)
    model.graph.node.append(n("MatMul", ["z", "head"], ["logits"], name="head"))
    model.graph.output[0].name = "logits"
    return model


@pytest.mark.parametrize("preset", METHODS)
def test_a_node_without_a_name_is_excluded_by_the_one_that_reports_give_it(tmp_path: Path, preset: str) -> None:
    model = two_matmuls()
    for node in model.graph.node:
        node.ClearField("name")
    feeds = {"x": np.random.default_rng(0).normal(size=(40, 3, 16)).astype(np.float32)}
    first = quantized(tmp_path, model, feeds, preset=preset)
    assert [layer.node for layer in first.layers if layer.op_type == "MatMul"] == ["MatMul_h", "MatMul_o"]
    again = quantized(tmp_path, model, feeds, preset=preset, nodes_to_exclude=("MatMul_o",))
    assert {layer.node: layer.quantized for layer in again.layers if layer.op_type == "MatMul"} == {
        "MatMul_h": True, "MatMul_o": False,
    }  # fmt: skip
