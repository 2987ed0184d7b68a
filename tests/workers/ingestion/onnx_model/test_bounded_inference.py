import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, shape_inference

from tests.workers.quantization.small_models import model_of, residual_cnn, two_matmuls
from workers.ingestion.onnx_model.bounded_inference import are_vectors_short, inferred_with_values
from workers.ingestion.onnx_model.canonical import ingest_onnx
from workers.protocol.reporter import Reporter

N = helper.make_node
ENDLESS = 1 << 40
Y = {"y": ["k"]}


def constant_of_shape() -> onnx.ModelProto:
    nodes = [N("ConstantOfShape", ["extent"], ["big"]), N("Add", ["big", "x"], ["y"])]
    return model_of(nodes, {"extent": np.array([ENDLESS])}, inputs={"x": [1]}, outputs=Y)


def constant_of_a_product() -> onnx.ModelProto:
    """Its length shows only when values are followed."""
    nodes = [N("Mul", ["root", "root"], ["extent"]), N("ConstantOfShape", ["extent"], ["big"])]
    nodes.append(N("Add", ["big", "x"], ["y"]))
    return model_of(nodes, {"root": np.array([1 << 20])}, inputs={"x": [1]}, outputs=Y)


def doubled_forty_times() -> onnx.ModelProto:
    nodes = [N("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}"], axis=0) for i in range(40)]
    nodes += [N("Cast", ["v40"], ["big"], to=onnx.TensorProto.FLOAT), N("Add", ["big", "x"], ["y"])]
    return model_of(nodes, {"v0": np.array([1])}, inputs={"x": [1]}, outputs=Y)


@pytest.mark.parametrize("bomb", [constant_of_a_product, doubled_forty_times])
def test_values_without_measure_are_given_up_and_the_model_is_ingested(
    bomb: Any, tmp_path: Path, reporter: Reporter
) -> None:
    (tmp_path / "bomb.onnx").write_bytes(bomb().SerializeToString())
    started = time.monotonic()
    ingest_onnx(tmp_path / "bomb.onnx", tmp_path, reporter)
    assert time.monotonic() - started < 60  # it is the probe's processor time that is limited
    assert reporter.warnings == []
    noted = {v.name: v.type.tensor_type.shape.dim for v in onnx.load_model(tmp_path / "model.onnx").graph.value_info}
    assert noted["big"][0].dim_value in {0, ENDLESS}


def from_its_own_shape() -> onnx.ModelProto:
    """Text models do this for their masks: a vector as long as the shape of another says."""
    nodes = [N("Shape", ["x"], ["s"]), N("Shape", ["s"], ["rank"]), N("ConstantOfShape", ["rank"], ["ones"], value=ONE)]
    nodes += [N("Mul", ["s", "ones"], ["to"]), N("Expand", ["x", "to"], ["y"])]
    return model_of(nodes, {}, inputs={"x": [5, 2, 4]}, outputs={"y": ["a", "b", "c"]})


ONE = helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])


def reshaped() -> onnx.ModelProto:
    nodes = [N("Shape", ["x"], ["s"]), N("Gather", ["s", "first"], ["n"]), N("Concat", ["n", "eight"], ["to"], axis=0)]
    nodes.append(N("Reshape", ["x", "to"], ["y"]))
    weights = {"first": np.array([0]), "eight": np.array([8])}
    return model_of(nodes, weights, inputs={"x": [5, 2, 4]}, outputs={"y": ["a", "b"]})


@pytest.mark.parametrize(("make", "apart"), [(from_its_own_shape, True), (reshaped, False)])
def test_shapes_that_follow_from_values_are_found_here_and_in_the_process(make: Any, apart: bool) -> None:
    model = make()
    assert are_vectors_short(shape_inference.infer_shapes(model)) != apart
    expected = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert inferred_with_values(model) == expected
    assert all(d.HasField("dim_value") for d in expected.graph.output[0].type.tensor_type.shape.dim)


@pytest.mark.parametrize("make", [two_matmuls, residual_cnn])
def test_most_models_need_no_process(make: Any) -> None:
    assert are_vectors_short(shape_inference.infer_shapes(make()))


@pytest.mark.parametrize("bomb", [constant_of_shape, constant_of_a_product, doubled_forty_times])
def test_where_nothing_is_strict_values_are_left_alone(bomb: Any) -> None:
    assert inferred_with_values(bomb(), strict=False) == shape_inference.infer_shapes(bomb())


def test_operators_that_contradict_each_other_are_an_error() -> None:
    model = two_matmuls()
    model.graph.initializer[1].dims[0] -= 1
    with pytest.raises(shape_inference.InferenceError):
        inferred_with_values(model)
