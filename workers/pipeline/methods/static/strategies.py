"""The ranges of each candidate, and the methods that give them."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.contracts.recipe import Recipe
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.sensitivity.measured_form import ChoiceForm, NoiseForm
from workers.pipeline.sensitivity.probe import SensitivityProbe, best_ranges, sensitivities
from workers.pipeline.steps.step_folder import StepFolder
from workers.quantization.placement import Placement
from workers.quantization.ranges import (
    Range,
    candidate_ranges,
    entropy_range,
    min_max_range,
    mse_range,
    percentile_ranges,
)
from workers.quantization.scheme import Scheme
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


def named_strategies(recipe: Recipe) -> list[tuple[str, float | None]]:
    if recipe.calibration_method == "percentile":
        return [("percentile" if p < MIN_MAX else "min_max", p) for p in recipe.percentiles]
    if recipe.calibration_method == "measured":
        return [("min_max", MIN_MAX), *(("percentile", p) for p in UNIFORM_PERCENTILES)]
    method = recipe.calibration_method
    return [(method, MIN_MAX if method == "min_max" else None)]


def uniform_strategy(method: str, percentile: float | None, placement: Placement, statistics: Statistics) -> Strategy:
    """One way to find ranges, for all tensors."""
    ranges = {t: _range(method, percentile, t, scheme, statistics) for t, scheme in placement.scheme_of.items()}
    key, name = _spelling(method, percentile)
    return Strategy(key, f"{placement.weights_dtype} {name}", method, percentile, ranges, dict.fromkeys(ranges, name))


def _range(method: str, percentile: float | None, tensor: str, scheme: Scheme, statistics: Statistics) -> Range:
    observed = statistics.ranges[tensor]
    match method:
        case "percentile":
            assert percentile is not None
            return percentile_ranges(observed, [percentile])[0]
        case "entropy":
            return entropy_range(observed)
        case "mse":
            return mse_range(observed, scheme)
        case "moving_average":
            return min_max_range(statistics.averages[tensor])
        case _:
            return min_max_range(observed)


def measured_noises(
    prepared: Prepared, probe: SensitivityProbe, full: Mapping[str, Range], steps: StepFolder
) -> dict[str, float]:
    """What rounding each tensor alone costs at the output."""
    form = NoiseForm(prepared.placement.observed)
    return steps.result("sensitivity", form, lambda: sensitivities(probe, full, steps.reporter))


def measured_strategy(
    placement: Placement,
    probe: SensitivityProbe,
    noises: Mapping[str, float],
    statistics: Statistics,
    chosen: Mapping[str, Smoothing],
    steps: StepFolder,
) -> Strategy:
    """The best range of each tensor that matters, min-max for the others and for those that smoothing reshapes."""
    candidates = {
        tensor: candidate_ranges(statistics.ranges[tensor], scheme=scheme)
        for tensor, scheme in placement.scheme_of.items()
        if tensor not in chosen
    }
    best = steps.result(
        "search", ChoiceForm(candidates), lambda: best_ranges(probe, noises, candidates, steps.reporter)
    )
    ranges = {t: candidates[t][best[t]] if t in best else min_max_range(o) for t, o in statistics.ranges.items()}
    methods = {t: best.get(t, "min_max").replace("min_max", "min-max").replace("_", " ") for t in ranges}
    return Strategy("measured", f"{placement.weights_dtype} measured ranges", "measured", None, ranges, methods)


def _spelling(method: str, percentile: float | None) -> tuple[str, str]:
    """(key, name). All digits of a percentile: rounded, two of them could share a file."""
    if method == "percentile":
        spelled = repr(percentile).removesuffix(".0")
        return f"p{spelled}", f"percentile {spelled}"
    named = {"min_max": ("minmax", "min-max"), "moving_average": ("moving_average", "moving average")}
    return named.get(method, (method, method))
