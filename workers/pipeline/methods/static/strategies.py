"""The ranges of each candidate, and the methods that give them."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.contracts.recipe import Recipe
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.sensitivity.measured_form import ChoiceForm, NoiseForm
from workers.pipeline.sensitivity.probe import SensitivityProbe, best_ranges, sensitivities
from workers.pipeline.steps.step_folder import StepFolder
from workers.quantization.ranges import (
    Range,
    candidate_ranges,
    entropy_range,
    min_max_range,
    mse_range,
    percentile_ranges,
)
from workers.quantization.scheme import UINT8_ACTIVATIONS
from workers.quantization.smoothing import Smoothing
from workers.targets.preparation import Prepared

MIN_MAX = 100.0

UNIFORM_PERCENTILES = (99.99, 99.999)
"""What `measured` tries on all tensors at once, beside min-max and the best range of each: errors of many tensors do
not simply add up, so that one percentile for all can beat what was best for each alone."""


@dataclass(frozen=True)
class Strategy:
    """The ranges of one candidate, by tensor, and the name of the method that gave each."""

    key: str
    label: str
    method: str
    percentile: float | None
    ranges: Mapping[str, Range]
    methods: Mapping[str, str]


def _named_strategies(recipe: Recipe) -> list[tuple[str, float | None]]:
    if recipe.calibration_method == "percentile":
        return [("percentile" if p < MIN_MAX else "min_max", p) for p in recipe.percentiles]
    if recipe.calibration_method == "measured":
        return [("min_max", MIN_MAX), *(("percentile", p) for p in UNIFORM_PERCENTILES)]
    method = recipe.calibration_method
    return [(method, MIN_MAX if method == "min_max" else None)]


def _strategy(method: str, percentile: float | None, statistics: Statistics) -> Strategy:
    ranges = {name: _range(method, percentile, name, statistics) for name in statistics.tensors}
    key, label = _spelling(method, percentile)
    return Strategy(key, label, method, percentile, ranges, dict.fromkeys(ranges, label.removeprefix("int8 ")))


def _range(method: str, percentile: float | None, tensor: str, statistics: Statistics) -> Range:
    observed = statistics.ranges[tensor]
    match method:
        case "percentile":
            assert percentile is not None
            return percentile_ranges(observed, [percentile])[0]
        case "entropy":
            return entropy_range(observed)
        case "mse":
            return mse_range(observed, UINT8_ACTIVATIONS)
        case "moving_average":
            return min_max_range(statistics.averages[tensor])
        case _:
            return min_max_range(observed)


def _noises(
    prepared: Prepared, probe: SensitivityProbe, full: Mapping[str, Range], steps: StepFolder
) -> dict[str, float]:
    form = NoiseForm(prepared.placement.observed)
    return steps.result("sensitivity", form, lambda: sensitivities(probe, full, steps.reporter))


def _measured_strategy(
    probe: SensitivityProbe,
    noises: Mapping[str, float],
    statistics: Statistics,
    chosen: Mapping[str, Smoothing],
    steps: StepFolder,
) -> Strategy:
    """The best range of each tensor that matters, min-max for the others and for those that smoothing reshapes."""
    candidates = {t: candidate_ranges(statistics.ranges[t]) for t in statistics.tensors if t not in chosen}
    best = steps.result(
        "search", ChoiceForm(candidates), lambda: best_ranges(probe, noises, candidates, steps.reporter)
    )
    ranges = {t: candidates[t][best[t]] if t in best else min_max_range(o) for t, o in statistics.ranges.items()}
    methods = {t: best.get(t, "min_max").replace("min_max", "min-max").replace("_", " ") for t in ranges}
    return Strategy("measured", "int8 measured ranges", "measured", None, ranges, methods)


def _spelling(method: str, percentile: float | None) -> tuple[str, str]:
    """(key, label). All digits of a percentile: rounded, two of them could share a file."""
    if method == "percentile":
        spelled = repr(percentile).removesuffix(".0")
        return f"p{spelled}", f"int8 percentile {spelled}"
    named = {"min_max": ("minmax", "int8 min-max"), "moving_average": ("moving_average", "int8 moving average")}
    return named.get(method, (method, f"int8 {method}"))
