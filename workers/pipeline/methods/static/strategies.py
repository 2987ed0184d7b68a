"""The ranges of each candidate, the methods that give them, and what the scheme of each tensor makes of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.methods.static.statistics import Statistics
from workers.quantization.affine import QParams, choose_qparams
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

MIN_MAX = 100.0

UNIFORM_PERCENTILES = (99.99, 99.999)
"""What `measured` tries on all tensors at once, beside min-max and the best range of each: errors of many tensors do
not simply add up, so that one percentile for all can beat what was best for each alone."""

Named = tuple[str, float | None]
"""A method, and its percentile."""


@dataclass(frozen=True)
class Fit:
    """A range, the name of what found it, and the scale and zero point that follow from it."""

    span: Range
    method: str
    qparams: QParams

    @classmethod
    def of(cls, span: Range, method: str, scheme: Scheme) -> "Fit":
        """The one place where a range meets its scheme."""
        return cls(span, method, choose_qparams(*span, scheme))


Fits = Mapping[str, Fit]
"""By tensor."""


@dataclass(frozen=True)
class Strategy:
    """How one candidate fits the ranges of all tensors."""

    key: str
    label: str
    method: str
    percentile: float | None
    fits: Fits


def named_strategies(recipe: StaticRecipe) -> list[Named]:
    if recipe.calibration_method == "percentile":
        return [("percentile" if p < MIN_MAX else "min_max", p) for p in recipe.percentiles]
    if recipe.calibration_method == "measured":
        return [("min_max", MIN_MAX), *(("percentile", p) for p in UNIFORM_PERCENTILES)]
    method = recipe.calibration_method
    return [(method, MIN_MAX if method == "min_max" else None)]


def uniform_strategy(named: Named, placement: Placement, statistics: Statistics) -> Strategy:
    """One way to find ranges, for all tensors."""
    method, percentile = named
    key, name = _spelling(method, percentile)
    fits = {t: Fit.of(_range(named, t, s, statistics), name, s) for t, s in placement.scheme_of.items()}
    return Strategy(key, f"{placement.weights_dtype} {name}", method, percentile, fits)


def all_fits(placement: Placement, statistics: Statistics, tensors: Iterable[str]) -> dict[str, dict[str, Fit]]:
    """By tensor, every range that its statistics suggest, by name."""
    return {
        tensor: {
            name: Fit.of(span, name.replace("min_max", "min-max").replace("_", " "), placement.scheme_of[tensor])
            for name, span in candidate_ranges(statistics.ranges[tensor], scheme=placement.scheme_of[tensor]).items()
        }
        for tensor in tensors
    }


def measured_strategy(placement: Placement, fits: Fits) -> Strategy:
    return Strategy("measured", f"{placement.weights_dtype} measured ranges", "measured", None, fits)


def _range(named: Named, tensor: str, scheme: Scheme, statistics: Statistics) -> Range:
    method, percentile = named
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


def _spelling(method: str, percentile: float | None) -> tuple[str, str]:
    """(key, name). All digits of a percentile: rounded, two of them could share a file."""
    if method == "percentile":
        spelled = repr(percentile).removesuffix(".0")
        return f"p{spelled}", f"percentile {spelled}"
    named = {"min_max": ("minmax", "min-max"), "moving_average": ("moving_average", "moving average")}
    return named.get(method, (method, method))
