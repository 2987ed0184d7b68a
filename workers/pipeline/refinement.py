"""From statistics to what will be written: smoothed tensors, rounded weights, and the ranges of each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.contracts.recipe import Recipe
from workers.pipeline.held_out import HeldOut, sqnr
from workers.pipeline.measured_form import ChoiceForm, NoiseForm
from workers.pipeline.sensitivity import PROBED, SensitivityProbe, best_ranges, sensitivities
from workers.pipeline.smoothing import smoothings
from workers.pipeline.statistics import Statistics
from workers.pipeline.steps.step_folder import StepFolder
from workers.pipeline.weights import rounded_weights
from workers.protocol.reporter import Reporter
from workers.quantization.observers import ChannelObserver
from workers.quantization.passes.smooth import smooth
from workers.quantization.placement.sites import tensors_of
from workers.quantization.ranges import (
    Range,
    candidate_ranges,
    entropy_range,
    min_max_range,
    mse_range,
    percentile_ranges,
)
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.quantization.scheme import UINT8_ACTIVATIONS
from workers.quantization.smoothing import Smoothing
from workers.targets.preparation import Prepared, placed

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


@dataclass(frozen=True)
class Refined:
    """All that the candidates of a job share, and the ranges in which they differ."""

    prepared: Prepared
    rounded: Mapping[str, RoundedWeight]
    strategies: tuple[Strategy, ...]
    alphas: Mapping[str, float]
    """By smoothed tensor."""
    costs_db: Mapping[str, float]
    """The model's output when one tensor alone is rounded, where that was measured: before smoothing."""


def refine(
    prepared: Prepared, statistics: Statistics, recipe: Recipe, held_out: HeldOut, steps: StepFolder, *, threads: int
) -> tuple[Refined, ...]:
    """Everything between calibration and the files: with smoothing and, where samples are held out to judge, without.

    Smoothed channels reach the whole range, so that new data clips sooner: with few rows a channel that can cost more
    than smoothing gains.
    """
    measured = recipe.calibration_method == "measured"
    asked = held_out.first(PROBED)
    probe = SensitivityProbe.of(prepared, asked, threads=threads) if measured and asked.batches else None
    full = {name: min_max_range(observer) for name, observer in statistics.ranges.items()}
    noises = None if probe is None else _noises(prepared, probe, full, steps)
    chosen = smoothings(prepared, statistics, recipe, noises)
    strategies = [_strategy(*named, statistics) for named in _named_strategies(recipe)]
    if probe is not None and noises is not None:
        strategies.append(_measured_strategy(probe, noises, statistics, chosen, steps))
    costs_db = {tensor: sqnr(asked.signal, noise) for tensor, noise in (noises or {}).items()}
    alternatives = [chosen, {}] if chosen and probe is not None else [chosen]
    return tuple(
        _refined(prepared, some, strategies, statistics, recipe, costs_db, steps.reporter) for some in alternatives
    )


def _refined(
    prepared: Prepared,
    chosen: Mapping[str, Smoothing],
    strategies: Sequence[Strategy],
    statistics: Statistics,
    recipe: Recipe,
    costs_db: Mapping[str, float],
    reporter: Reporter,
) -> Refined:
    smoothed, origin = _smoothed(prepared, chosen, recipe)
    rounded = rounded_weights(smoothed, statistics, origin, recipe, reporter)
    seen_as = {source: tensor for tensor, (source, _) in origin.items()}
    return Refined(
        smoothed,
        rounded,
        tuple(_after_smoothing(strategy, statistics, origin) for strategy in strategies),
        {tensor: smoothing.alpha for tensor, (_, smoothing) in origin.items()},
        {seen_as.get(tensor, tensor): cost for tensor, cost in costs_db.items()},
    )


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


def _smoothed(
    prepared: Prepared, chosen: Mapping[str, Smoothing], recipe: Recipe
) -> tuple[Prepared, dict[str, tuple[str, Smoothing]]]:
    """The graph with the factors in it, and for each tensor that readers see now: what it was, and its factors."""
    if not chosen:
        return prepared, {}
    model = prepared.model.clone()
    origin: dict[str, tuple[str, Smoothing]] = {}
    for tensor, sites in tensors_of(model.graph, prepared.placement).items():
        if tensor in chosen:
            seen = smooth(model, tensor, [site.node for site in sites], chosen[tensor].factors)
            origin[seen] = (tensor, chosen[tensor])
    return placed(model, recipe), origin


def _after_smoothing(
    strategy: Strategy, statistics: Statistics, origin: Mapping[str, tuple[str, Smoothing]]
) -> Strategy:
    """Smoothed tensors keep all of their values: their extremes follow exactly from those of the channels."""
    sources = {source for source, _ in origin.values()}
    ranges = {t: r for t, r in strategy.ranges.items() if t not in sources}
    methods = {t: m for t, m in strategy.methods.items() if t not in sources}
    for tensor, (source, smoothing) in origin.items():
        ranges[tensor] = _smoothed_range(statistics.channels[source], smoothing)
        methods[tensor] = f"min-max after smoothing (alpha {smoothing.alpha:g})"
    return Strategy(strategy.key, strategy.label, strategy.method, strategy.percentile, ranges, methods)


def _smoothed_range(channels: ChannelObserver, smoothing: Smoothing) -> Range:
    seen = channels.counts > 0
    low, high = channels.low[seen] / smoothing.factors[seen], channels.high[seen] / smoothing.factors[seen]
    return min(0.0, float(low.min(initial=0.0))), max(0.0, float(high.max(initial=0.0)))


def _spelling(method: str, percentile: float | None) -> tuple[str, str]:
    """(key, label). All digits of a percentile: rounded, two of them could share a file."""
    if method == "percentile":
        spelled = repr(percentile).removesuffix(".0")
        return f"p{spelled}", f"int8 percentile {spelled}"
    named = {"min_max": ("minmax", "int8 min-max"), "moving_average": ("moving_average", "int8 moving average")}
    return named.get(method, (method, f"int8 {method}"))
