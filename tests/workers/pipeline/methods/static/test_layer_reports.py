"""What is told of each layer: figures from sums that are known, of a network of two products."""

from typing import Any

import numpy as np
import pytest

from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import prepared_for
from tests.workers.quantization.small_models import two_matmuls
from workers.pipeline.methods.static.layer_reports import layer_reports
from workers.pipeline.methods.static.refinement import Refined
from workers.pipeline.methods.static.strategies import Fit, Strategy
from workers.quantization.graph.constants import float_constant_of
from workers.quantization.layer_trial import LayerError
from workers.quantization.rounding.rounded_weight import round_weight


def reported(*, errors: Any = None, corrected: Any = (), excluded: Any = (), **known: Any) -> dict[str, Any]:
    """By node. The tensor x ranges from -1 to 1, and r, between the products, from 0 to 2."""
    prepared = prepared_for(
        two_matmuls(), PRESETS["int8-fast"].model_copy(update={"nodes_to_exclude": tuple(excluded)})
    )
    spans = {"x": (-1.0, 1.0), "r": (0.0, 2.0)}
    fits = {t: Fit.of(spans[t], f"how {t} was found", s) for t, s in prepared.placement.scheme_of.items()}
    weights = {
        site.node: round_weight(_weight(prepared, site), site.scheme, axis=site.axis, limited=True)
        for site in prepared.placement.weights
    }
    refined = Refined(prepared, weights, (), known.get("alphas", {}), known.get("costs_db", {}))
    strategy = Strategy("k", "l", "min_max", None, fits)
    return {report.node: report for report in layer_reports(refined, strategy, errors or {}, corrected=corrected)}


def _weight(prepared: Any, site: Any) -> Any:
    return float_constant_of(prepared.nodes[site.node].inputs[site.weight_input])


def names() -> list[str]:
    return list(reported())


def test_every_layer_says_which_integers_it_multiplies_and_where_its_range_came_from() -> None:
    found = reported()
    assert [report.quantized for report in found.values()] == [True, True]
    one, two = (report.figures for report in found.values())
    assert (one.input, one.input_range, one.range_method) == ("x", (-1.0, 1.0), "how x was found")
    assert (two.input, two.input_range, two.range_method) == ("r", (0.0, 2.0), "how r was found")
    assert one.scheme == "uint8 per_tensor x int8 per_axis, neighbours limited"
    assert (one.rounding, one.bias_corrected, one.smoothquant_alpha, one.sensitivity_db) == (
        "nearest",
        False,
        None,
        None,
    )
    assert one.weight_sqnr_db == pytest.approx(45.0, abs=10.0)  # eight bits
    assert (one.input_sqnr_db, one.output_sqnr_db, one.clip_fraction) == (None, None, None)


def test_what_was_tried_is_told_in_decibels() -> None:
    first, second = names()
    error = LayerError(
        input_signal=100.0, input_noise=1.0, clipped=3, values=12, positions=4,
        output_signal=1000.0, output_noise=10.0, error_sum=np.array([4.0, 0.0]),
    )  # fmt: skip
    figures = reported(errors={first: error, second: LayerError()})
    assert figures[first].figures.input_sqnr_db == pytest.approx(20.0)  # 10 log10(100 / 1)
    assert figures[first].figures.output_sqnr_db == pytest.approx(20.0)  # 10 log10(1000 / 10)
    assert figures[first].figures.clip_fraction == 0.25  # 3 of 12
    assert figures[second].figures.output_sqnr_db is None  # nothing reached it


def test_a_corrected_layer_has_the_noise_that_is_left_without_its_mean_error() -> None:
    first, _ = names()
    error = LayerError(
        input_signal=1.0, input_noise=0.0, positions=4, output_signal=600.0, output_noise=10.0,
        error_sum=np.array([4.0, 0.0]),
    )  # fmt: skip
    figures = reported(errors={first: error}, corrected=[first])[first].figures
    assert figures.bias_corrected
    # the mean error is 4 / 4 = 1 in one channel: 10 - 4 * 1^2 = 6 is left, and 600 / 6 = 100
    assert figures.output_sqnr_db == pytest.approx(20.0)
    assert figures.input_sqnr_db == 200.0  # no noise at all


def test_smoothing_and_what_a_tensor_costs_are_told_of_the_layers_that_read_it() -> None:
    one, two = (report.figures for report in reported(alphas={"x": 0.5}, costs_db={"x": 30.0, "r": 40.0}).values())
    assert (one.smoothquant_alpha, one.sensitivity_db) == (0.5, 30.0)
    assert (two.smoothquant_alpha, two.sensitivity_db) == (None, 40.0)


def test_a_layer_left_in_float_has_a_reason_and_no_figures() -> None:
    first, second = names()
    found = reported(excluded=[second])
    assert (found[second].quantized, found[second].figures) == (False, None)
    assert found[second].reason == "The recipe excludes this node."
    assert found[first].figures is not None
