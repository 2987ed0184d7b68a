"""From statistics to what will be written: smoothed tensors, rounded weights, and the ranges of each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.contracts.recipe import Recipe
from workers.pipeline.methods.static.smoothing import smoothings
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.methods.static.strategies import (
    Strategy,
    measured_noises,
    measured_strategy,
    named_strategies,
    uniform_strategy,
)
from workers.pipeline.methods.static.weights import rounded_weights
from workers.pipeline.sensitivity.held_out import HeldOut
from workers.pipeline.sensitivity.probe import PROBED, SensitivityProbe
from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.reporter import Reporter
from workers.quantization.error_metrics import sqnr
from workers.quantization.observers import ChannelObserver
from workers.quantization.passes.smooth import smooth
from workers.quantization.placement.sites import tensors_of
from workers.quantization.ranges import (
    Range,
    min_max_range,
)
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.quantization.smoothing import Smoothing
from workers.targets.preparation import Prepared, placed


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
    noises = None if probe is None else measured_noises(prepared, probe, full, steps)
    chosen = smoothings(prepared, statistics, recipe, noises)
    placement = prepared.placement
    strategies = [uniform_strategy(*named, placement, statistics) for named in named_strategies(recipe)]
    if probe is not None and noises is not None:
        strategies.append(measured_strategy(placement, probe, noises, statistics, chosen, steps))
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
