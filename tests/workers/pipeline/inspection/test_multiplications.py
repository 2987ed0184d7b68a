from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from app.contracts.inspection import ModelInspection, TokenizerInspection
from app.contracts.preparation import ImagePreparation
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.inspection.model import inspect_model
from workers.pipeline.inspection.multiplications import multiplications_per_sample
from workers.protocol.tasks import InspectModelTask

n = helper.make_node


def count(model: onnx.ModelProto, **facts: Any) -> int | None:
    return multiplications_per_sample(model, describe(model).model_copy(update=facts))


def weights(**shapes: Any) -> dict[str, Any]:
    return random_weights(np.random.default_rng(0), **shapes)


def test_a_network_of_convolutions_counts_kernels_at_every_place() -> None:
    # 8x8: 8 out of 3 and of 8, 3x3 each; 4x4: 16 out of 8; at the end 5 out of 16
    expected = 64 * 8 * 3 * 9 + 64 * 8 * 8 * 9 + 16 * 16 * 8 * 9 + 5 * 16
    assert count(residual_cnn()) == expected


@pytest.mark.parametrize(
    ("nodes", "shapes", "inputs", "outputs", "expected"),
    [
        pytest.param(
            [n("Conv", ["x", "w"], ["y"], group=4)], {"w": (8, 1, 3)}, {"x": [1, 4, 10]}, {"y": [1, 8, 8]},
            8 * 8 * 3, id="a grouped convolution",
        ),
        pytest.param(
            [n("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])], {"w": (4, 6, 2, 2)},
            {"x": [1, 4, 5, 5]}, {"y": [1, 6, 10, 10]}, 4 * 25 * 6 * 4, id="a transposed convolution",
        ),
        pytest.param(
            [n("Gemm", ["x", "w"], ["y"], transA=1)], {"w": (7, 3)}, {"x": [7, 1]}, {"y": [1, 3]},
            3 * 7, id="a Gemm of a transposed input, whose first axis is no batch",
        ),
        pytest.param(
            [n("MatMul", ["x", "x"], ["y"])], {}, {"x": [1, 6, 6]}, {"y": [1, 6, 6]}, 6 * 6 * 6,
            id="a product of two activations",
        ),
        pytest.param(
            [n("LSTM", ["x", "w", "r"], ["y"], hidden_size=5)], {"w": (1, 20, 3), "r": (1, 20, 5)},
            {"x": [7, 1, 3]}, {"y": [7, 1, 1, 5]}, 7 * 20 * (3 + 5), id="a recurrence",
        ),
    ],
)  # fmt: skip
def test_each_operator_counts_its_products(nodes: Any, shapes: Any, inputs: Any, outputs: Any, expected: int) -> None:
    model = model_of(nodes, weights(**shapes), inputs=inputs, outputs=outputs)
    batch = max(shape[0] for shape in inputs.values())
    assert count(model) == -(-expected // batch)


def test_a_fixed_batch_is_many_samples() -> None:
    model = model_of([n("MatMul", ["x", "w"], ["y"])], weights(w=(16, 4)), inputs={"x": [8, 16]}, outputs={"y": [8, 4]})
    assert count(model) == 16 * 4


def product_over_tokens() -> onnx.ModelProto:
    return model_of(
        [n("MatMul", ["x", "w"], ["y"])], weights(w=(16, 4)), inputs={"x": ["n", "t", 16]}, outputs={"y": ["n", "t", 4]}
    )


@pytest.mark.parametrize(("longest", "tokens"), [(None, 128), (512, 128), (32, 32)])
def test_texts_have_128_tokens_or_as_many_as_the_model_takes(longest: int | None, tokens: int) -> None:
    tokenizer = TokenizerInspection(vocabulary=9, max_length=longest, pads=True)
    assert count(product_over_tokens(), tokenizer=tokenizer) == tokens * 16 * 4


def test_images_have_the_size_that_the_model_s_configuration_names() -> None:
    model = model_of(
        [n("Conv", ["x", "w"], ["y"])], weights(w=(2, 3, 1, 1)),
        inputs={"x": ["n", 3, "h", "w_"]}, outputs={"y": ["n", 2, "h", "w_"]},
    )  # fmt: skip
    assert count(model) == 224 * 224 * 2 * 3
    assert count(model, image_preparation=ImagePreparation(height=10, width=12)) == 12 * 12 * 2 * 3


def test_reshapes_by_computed_shapes_are_followed() -> None:
    """[n, t, 16] -> [n, t, 4, 4] by Shape, Slice and Concat, where inference alone gives up; a mask grows by Expand."""
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Slice", ["s", "zero", "two"], ["front"]),
        n("Concat", ["front", "back"], ["wanted"], axis=0),
        n("Reshape", ["x", "wanted"], ["r"]),
        n("ConstantOfShape", ["size"], ["ones"]),
        n("Mul", ["ones", "wanted"], ["same"]),
        n("Expand", ["r", "same"], ["e"]),
        n("MatMul", ["e", "w"], ["y"]),
    ]
    one = onnx.numpy_helper.from_array(np.array([1], np.int64))
    nodes[4].attribute.append(helper.make_attribute("value", one))
    constants: Any = {
        "zero": np.array([0]), "two": np.array([2]), "back": np.array([4, 4]), "size": np.array([4]),
        **weights(w=(4, 9)),
    }  # fmt: skip
    model = model_of(nodes, constants, inputs={"x": ["n", "t", 16]}, outputs={"y": [None] * 4})
    assert count(model) == 128 * 4 * 4 * 9


@pytest.mark.parametrize("values_would_be_followed", [True, False])
def test_no_graph_makes_it_hold_much(values_would_be_followed: bool) -> None:
    """A shape of 2^40 elements is only a shape: where inference would note each value, it notes none."""
    nodes = [
        n("ConstantOfShape", ["size"], ["huge"]),
        n("Shape", ["huge"], ["s"]),
        n("Expand", ["one", "size"], ["grown"]),
        n("Range", ["none", "many", "one"], ["long"]),
        n(
            "Cast" if values_would_be_followed else "Abs",
            ["long"],
            ["g"],
            **({"to": 6} if values_would_be_followed else {}),
        ),
        n("MatMul", ["x", "w"], ["y"]),
    ]
    constants: Any = {
        "size": np.array([2**20, 2**20]), "none": np.array(0), "many": np.array(2**40), "one": np.array(1),
        **weights(w=(2, 2)),
    }  # fmt: skip
    model = model_of(nodes, constants, inputs={"x": [1, 2]}, outputs={"y": [1, 2]})
    assert count(model) == 4


@pytest.mark.parametrize("op_type", ["Einsum", "If"])
def test_what_shapes_do_not_tell_is_not_guessed(op_type: str) -> None:
    body = helper.make_graph(
        [n("MatMul", ["x", "w"], ["b"])], "b", [], [helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, [1, 2])]
    )
    node = {
        "Einsum": n("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik"),
        "If": n("If", ["c"], ["y"], then_branch=body, else_branch=body),
    }[op_type]
    constants: Any = {"c": np.array(True), **weights(w=(2, 2))}
    model = model_of([node], constants, inputs={"x": [1, 2]}, outputs={"y": [1, 2]})
    assert count(model) is None


def test_a_shape_that_depends_on_values_is_not_guessed() -> None:
    nodes = [n("NonZero", ["x"], ["z"]), n("Cast", ["z"], ["f"], to=1), n("MatMul", ["w", "f"], ["y"])]
    model = model_of(nodes, weights(w=(3, 2)), inputs={"x": [4, 4]}, outputs={"y": [3, None]})
    assert count(model) is None


def test_the_model_itself_stays_as_it_is() -> None:
    model = product_over_tokens()
    before = model.SerializeToString(deterministic=True)
    count(model)
    assert model.SerializeToString(deterministic=True) == before


def test_inspection_tells_it(tmp_path: Any, reporter: Any) -> None:
    (tmp_path / "m").write_bytes(residual_cnn().SerializeToString())
    found: ModelInspection = inspect_model(InspectModelTask(model="m"), tmp_path, reporter).inspection
    assert found.multiplications_per_sample == count(residual_cnn())
