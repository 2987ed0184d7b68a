"""What is gathered of each tensor: what the recipe asks for, and nothing more."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import attention, prepared_for
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.methods.static.calibration import calibrate
from workers.pipeline.methods.static.statistics import HESSIAN_SAMPLES, Statistics, empty_statistics
from workers.pipeline.sensitivity.division import Division
from workers.protocol.gathering import gathering
from workers.protocol.reporter import Reporter
from workers.quantization.observers import Window

n = helper.make_node
FAST = PRESETS["int8-fast"]


def nothing(model: Any, **changes: Any) -> Statistics:
    recipe = FAST.model_copy(update=changes)
    prepared = prepared_for(model, recipe)
    return empty_statistics(prepared.model.graph, prepared.placement, gathering(recipe))


def filled(model: Any, path: Any, reporter: Reporter, **changes: Any) -> Statistics:
    (whole,) = in_parts(model, path, reporter, Division.undivided, **changes)
    return whole


def in_parts(model: Any, path: Any, reporter: Reporter, deal: Any, **changes: Any) -> list[Statistics]:
    recipe = FAST.model_copy(update=changes)
    prepared = prepared_for(model, recipe)
    feeder = feeder_for(describe(model), open_archive(path), reporter)
    division = deal(feeder, limit=None)
    asked = gathering(recipe)
    parts = [empty_statistics(prepared.model.graph, prepared.placement, asked) for _ in range(division.parts)]
    calibrate(prepared, feeder, reporter, parts=parts, division=division, threads=1)
    return parts


@pytest.mark.parametrize("method", ["min_max", "percentile", "entropy", "mse", "measured"])
def test_ranges_need_one_histogram_for_each_tensor_and_nothing_else(method: str) -> None:
    found = nothing(two_matmuls(), calibration_method=method)
    assert set(found.tensors) == {"x", "r"}
    assert (found.averages, found.channels, found.moments) == ({}, {}, {})


def test_moving_averages_are_kept_when_asked_for() -> None:
    assert set(nothing(two_matmuls(), calibration_method="moving_average").averages) == {"x", "r"}


def test_channels_are_kept_for_products_that_may_be_smoothed() -> None:
    found = nothing(attention(), smoothquant_alpha="auto")
    # q, k and v read e; the head reads the mean; the table is looked up, not multiplied
    assert {tensor: len(c.counts) for tensor, c in found.channels.items()} == {"e": 32, "mean": 32}
    assert found.moments == {}
    # what the head of this network reads has its scale from the average pool, which others read too
    assert set(nothing(residual_cnn(), smoothquant_alpha=0.5).channels) == set()


def test_gptq_needs_one_hessian_for_all_layers_that_see_a_tensor_through_one_window() -> None:
    found = nothing(attention(), rounding="gptq")
    assert {key: m.sums.shape for key, m in found.moments.items()} == {
        ("e", None): (1, 32, 32),
        ("mean", None): (1, 32, 32),
    }
    window = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1))
    # stem: 3 channels * 9; branch and last: 8 * 9; head: 16
    assert {key: m.sums.shape[1] for key, m in nothing(residual_cnn(), rounding="gptq").moments.items()} == {
        ("x", window): 27, ("r1", window): 72, ("p", window): 72, ("f", None): 16,
    }  # fmt: skip


def test_a_layer_behind_a_pool_has_a_hessian_though_it_borrows_its_range(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(10, 3, 8, 8)).astype(np.float32)
    found = filled(residual_cnn(), npz(x=x), reporter, rounding="gptq")
    assert "p" not in found.ranges
    rows = {tensor: m.rows for (tensor, _), m in found.moments.items()}
    assert rows == {"x": 640, "r1": 640, "p": 160, "f": 10}  # positions of 10 images of 8 x 8, of 4 x 4, of one


def convolutions(**attributes: Any) -> Any:
    """Two convolutions of x, the first with its own attributes, added and put through a third."""
    weights = random_weights(np.random.default_rng(0), w1=(4, 2, 3, 3), w2=(4, 4, 1, 1), w3=(4, 4, 1, 1))
    nodes = [
        n("Conv", ["x", "w1"], ["a"], name="one", group=2, **attributes),
        n("Conv", ["x", "w2"], ["b"], name="two"),
        n("Conv", ["a", "w3"], ["c"], name="three"),
        n("Relu", ["c"], ["y"], name="relu"),
        n("Relu", ["b"], ["z"], name="relu2"),
        n("GlobalAveragePool", ["y"], ["p"], name="pool"),
        n("GlobalAveragePool", ["z"], ["q"], name="pool2"),
    ]
    shape = ["n", 4, 6, 6]
    return model_of(nodes, weights, inputs={"x": shape}, outputs={"p": ["n", 4, 1, 1], "q": ["n", 4, 1, 1]})


def test_different_windows_of_one_tensor_have_hessians_of_their_own() -> None:
    found = nothing(convolutions(pads=[1, 1, 1, 1]), rounding="gptq").moments
    assert {(k, m.sums.shape) for k, m in found.items() if k[0] == "x"} == {
        (("x", Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 2)), (2, 18, 18)),
        (("x", Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1)), (1, 4, 4)),
    }


def test_a_window_that_depends_on_the_input_has_no_hessian() -> None:
    found = nothing(convolutions(auto_pad="SAME_UPPER"), rounding="gptq").moments
    assert {(k[0], m.sums.shape[1]) for k, m in found.items()} == {("x", 4), ("a", 4)}


def test_a_layer_too_wide_to_invert_its_hessian_has_none() -> None:
    weights = random_weights(np.random.default_rng(0), w=(4097, 2))
    model = model_of([n("MatMul", ["x", "w"], ["y"])], weights, inputs={"x": ["n", 4097]}, outputs={"y": ["n", 2]})
    assert nothing(model, rounding="gptq").moments == {}


def test_sums_are_those_of_the_data(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(21, 3, 16)).astype(np.float32)
    found = filled(two_matmuls(), npz(x=x), reporter, rounding="gptq", smoothquant_alpha="auto")
    rows = x.reshape(-1, 16).astype(np.float64)
    np.testing.assert_allclose(found.moments["x", None].sums[0], rows.T @ rows, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found.channels["x"].low, rows.min(axis=0))
    np.testing.assert_array_equal(found.channels["x"].high, rows.max(axis=0))


def test_a_hessian_settles_early_and_stops_costing(npz: Any, reporter: Reporter) -> None:
    x = np.ones((HESSIAN_SAMPLES + 100, 2, 16), np.float32)
    found = filled(two_matmuls(), npz(x=x), reporter, rounding="gptq")
    assert found.moments["x", None].rows == HESSIAN_SAMPLES * 2
    assert found.ranges["x"].total == x.size


def test_what_judges_shapes_no_range(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3, 16)).astype(np.float32)
    x[::2] *= 100.0
    judges, shaping = in_parts(two_matmuls(), npz(x=x), reporter, Division.of)
    for part, values in [(judges, x[::2]), (shaping, x[1::2])]:
        assert part.ranges["x"].total == values.size
        assert (part.ranges["x"].low, part.ranges["x"].high) == (float(values.min()), float(values.max()))


def test_two_parts_add_up_to_the_whole(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(70, 3, 16)).astype(np.float32)
    options = {"rounding": "gptq", "smoothquant_alpha": "auto"}
    whole = filled(two_matmuls(), npz(x=x), reporter, **options)
    one, other = in_parts(two_matmuls(), npz(x=x), reporter, Division.of, **options)
    both = one + other
    for tensor in ("x", "r"):
        np.testing.assert_array_equal(both.ranges[tensor].counts, whole.ranges[tensor].counts)
        assert (both.ranges[tensor].low, both.ranges[tensor].high) == pytest.approx(
            (whole.ranges[tensor].low, whole.ranges[tensor].high), rel=1e-6
        )
        np.testing.assert_allclose(both.channels[tensor].high, whole.channels[tensor].high, rtol=1e-6)
        np.testing.assert_allclose(both.moments[tensor, None].sums, whole.moments[tensor, None].sums, rtol=1e-4)
    assert both.executor == whole.executor == "onnxruntime-cpu"
    one.moments.clear()
    np.testing.assert_array_equal((one + other).moments["x", None].sums, other.moments["x", None].sums)


def test_a_tensor_that_never_changes_is_pointed_out(npz: Any, reporter: Reporter) -> None:
    filled(two_matmuls(), npz(x=np.full((4, 2, 16), 0.25, np.float32)), reporter)
    assert [w.code for w in reporter.warnings] == ["constant_tensor"]
    assert "x is 0.25 throughout" in reporter.warnings[0].detail


def test_a_tensor_that_changes_is_not(npz: Any, reporter: Reporter) -> None:
    filled(two_matmuls(), npz(x=np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 2, 16)), reporter)
    assert reporter.warnings == []
