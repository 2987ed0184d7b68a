"""From statistics to what will be written: smoothed tensors, rounded weights, and the fits of each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.desk import Desk
from workers.pipeline.methods.static.smoothing import smoothings
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.methods.static.strategies import (
    MIN_MAX,
    Fit,
    Strategy,
    all_fits,
    measured_strategy,
    named_strategies,
    uniform_strategy,
)
from workers.pipeline.methods.static.weights import rounded_weights
from workers.pipeline.sensitivity.held_out import HeldOut
from workers.pipeline.sensitivity.measured_form import CostForm, Costs, NoiseForm, Noises
from workers.pipeline.sensitivity.probe import (
    Ranges,
    SensitivityProbe,
    best_ranges,
    costs_of_ranges,
    sensitivities,
    worth_trying,
)
from workers.protocol.gathering import graph_wish
from workers.protocol.step_keys import range_search_of, sensitivity_of
from workers.quantization.error_metrics import decibels
from workers.quantization.observers import ChannelObserver
from workers.quantization.passes.smooth import smooth
from workers.quantization.placement.sites import tensors_of
from workers.quantization.ranges import Range, min_max_range
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.quantization.smoothing import Smoothing
from workers.targets.preparation import Prepared
from workers.targets.target import Target


@dataclass(frozen=True)
class Calibrated:
    """The prepared model, and what the data showed of it."""

    prepared: Prepared
    statistics: Statistics
    probed: HeldOut
    """Samples at which the model's output is asked what a choice costs: of those that the statistics are of."""


@dataclass(frozen=True)
class Studied:
    """What rounding costs at the model's output, by tensor; and by tensor and range, for those that matter."""

    noises: Noises
    costs: Costs
    smoothed: frozenset[str]
    """Tensors that are worth smoothing."""


@dataclass(frozen=True)
class Refined:
    """All that some candidates share, and the strategies in which they differ."""

    prepared: Prepared
    rounded: Mapping[str, RoundedWeight]
    strategies: tuple[Strategy, ...]
    alphas: Mapping[str, float]
    """By smoothed tensor."""
    costs_db: Mapping[str, float]
    """The model's output when one tensor alone is rounded, where that was measured: before smoothing."""


@dataclass(frozen=True)
class Refiner:
    """Everything between calibration and the drafts."""

    recipe: StaticRecipe
    target: Target
    desk: Desk

    def unjudged(self, known: Calibrated) -> Refined:
        """As the recipe says, where nobody can tell what is gained."""
        chosen = smoothings(known.prepared, known.statistics, self.recipe, None)
        return self._refined(known, chosen, self._strategies(known, None), {})

    def plain(self, known: Calibrated, studied: Studied | None) -> Refined:
        """What `int8-fast` makes: min-max ranges, nothing smoothed, weights rounded to the nearest."""
        statistics = replace(known.statistics, moments={})
        rounded = rounded_weights(known.prepared, statistics, {}, self.recipe, self.desk.reporter)
        strategy = uniform_strategy(("min_max", MIN_MAX), known.prepared.placement, statistics)
        return Refined(known.prepared, rounded, (strategy,), {}, _costs_db(known, studied))

    def studied(self, parts: Sequence[Calibrated]) -> tuple[Studied, ...]:
        """Of each by itself."""
        probes = [SensitivityProbe.of(part.prepared, part.probed, threads=self.desk.threads) for part in parts]
        noises = self._noises(parts, probes)
        chosen = [
            smoothings(part.prepared, part.statistics, self.recipe, n) for part, n in zip(parts, noises, strict=True)
        ]
        costs = self._costs(parts, probes, noises, chosen)
        return tuple(Studied(n, c, frozenset(s)) for n, c, s in zip(noises, costs, chosen, strict=True))

    def without_smoothing(self, known: Calibrated, studied: Studied) -> Refined:
        return self._refined(known, {}, self._strategies(known, studied), _costs_db(known, studied))

    def smoothed(self, known: Calibrated, studied: Studied, *, without: Refined | None = None) -> Refined | None:
        """None where there is nothing to smooth. without: the same without smoothing, where it is made already."""
        found = smoothings(known.prepared, known.statistics, self.recipe, studied.noises)
        chosen = {tensor: smoothing for tensor, smoothing in found.items() if tensor in studied.smoothed}
        if not chosen:
            return None
        if without is None:
            return self._refined(known, chosen, self._strategies(known, studied), _costs_db(known, studied))
        return self._refined(known, chosen, without.strategies, without.costs_db, before=without.rounded)

    def _strategies(self, known: Calibrated, studied: Studied | None) -> list[Strategy]:
        placement = known.prepared.placement
        found = [uniform_strategy(named, placement, known.statistics) for named in named_strategies(self.recipe)]
        if studied is not None:
            # the best range of each tensor that matters; min-max for the others, and for those that smoothing reshapes
            best = best_ranges(studied.costs)
            fits = all_fits(placement, known.statistics, best)
            full = next(strategy.fits for strategy in found if strategy.percentile == MIN_MAX)
            found.append(measured_strategy(placement, {**full, **{t: fits[t][name] for t, name in best.items()}}))
        return found

    def _noises(self, parts: Sequence[Calibrated], probes: Sequence[SensitivityProbe]) -> list[Noises]:
        """What rounding each tensor alone over its full range costs at the output."""

        def measured(part: Calibrated, probe: SensitivityProbe) -> Noises:
            full = {
                tensor: Fit.of(min_max_range(part.statistics.ranges[tensor]), "min-max", scheme).qparams
                for tensor, scheme in part.prepared.placement.scheme_of.items()
            }
            return sensitivities(probe, full, self.desk.reporter)

        return self.desk.steps.result(
            sensitivity_of(self.desk.steps.ground, self.recipe),
            NoiseForm(parts[0].prepared.placement.observed, len(parts)),
            lambda: list(map(measured, parts, probes)),
        )

    def _costs(
        self,
        parts: Sequence[Calibrated],
        probes: Sequence[SensitivityProbe],
        noises: Sequence[Noises],
        chosen: Sequence[Mapping[str, Smoothing]],
    ) -> list[Costs]:
        """Of each range that the statistics suggest, for tensors that matter and are not smoothed."""

        def offered(part: Calibrated, noises: Noises, chosen: Mapping[str, Smoothing]) -> Mapping[str, Ranges]:
            asked = [tensor for tensor in worth_trying(noises) if tensor not in chosen]
            fits = all_fits(part.prepared.placement, part.statistics, asked)
            return {tensor: {name: fit.qparams for name, fit in some.items()} for tensor, some in fits.items()}

        ranges = list(map(offered, parts, noises, chosen))
        return self.desk.steps.result(
            range_search_of(self.desk.steps.ground, self.recipe),
            CostForm(tuple(ranges)),
            lambda: [costs_of_ranges(*asked, self.desk.reporter) for asked in zip(probes, ranges, strict=True)],
        )

    def _refined(
        self,
        known: Calibrated,
        chosen: Mapping[str, Smoothing],
        strategies: Sequence[Strategy],
        costs_db: Mapping[str, float],
        *,
        before: Mapping[str, RoundedWeight] | None = None,
    ) -> Refined:
        smoothed, origin = self._smoothed(known.prepared, chosen)
        rounded = rounded_weights(smoothed, known.statistics, origin, self.recipe, self.desk.reporter, before=before)
        seen_as = {source: tensor for tensor, (source, _) in origin.items()}
        reshaped = _reshaped(smoothed, known.statistics, origin)
        return Refined(
            smoothed,
            rounded,
            tuple(_after_smoothing(strategy, seen_as, reshaped) for strategy in strategies),
            {tensor: smoothing.alpha for tensor, (_, smoothing) in origin.items()},
            {seen_as.get(tensor, tensor): cost for tensor, cost in costs_db.items()},
        )

    def _smoothed(
        self, prepared: Prepared, chosen: Mapping[str, Smoothing]
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
        schemes = self.target.schemes(per_channel=self.recipe.per_channel)
        return self.target.place(model, graph_wish(self.recipe), schemes), origin


def _reshaped(
    smoothed: Prepared, statistics: Statistics, origin: Mapping[str, tuple[str, Smoothing]]
) -> dict[str, Fit]:
    """Smoothed tensors keep all of their values, and room for new ones: their extremes follow exactly from those of the
    channels."""
    schemes = smoothed.placement.scheme_of
    return {
        tensor: Fit.of(
            _smoothed_range(statistics.channels[source], smoothing),
            _spelled(smoothing),
            schemes[tensor],
        )
        for tensor, (source, smoothing) in origin.items()
    }


def _costs_db(known: Calibrated, studied: Studied | None) -> dict[str, float]:
    signal = known.probed.signal
    return {} if studied is None else {tensor: decibels(signal, noise) for tensor, noise in studied.noises.items()}


def _spelled(smoothing: Smoothing) -> str:
    room = f", {smoothing.headroom - 1.0:.0%} of headroom" if smoothing.headroom > 1.0 else ""
    return f"min-max after smoothing (alpha {smoothing.alpha:g}{room})"


def together(studied: Sequence[Studied]) -> Studied:
    """Of all parts: what it costs adds up, and is smoothed what every part would smooth."""
    noises = {tensor: sum(one.noises[tensor] for one in studied) for tensor in studied[0].noises}
    costs: Costs = {}
    for one in studied:
        for tensor, some in one.costs.items():
            known = costs.get(tensor, {})
            costs[tensor] = {name: cost + known.get(name, 0.0) for name, cost in some.items()}
    return Studied(noises, costs, frozenset.intersection(*(one.smoothed for one in studied)))


def _after_smoothing(strategy: Strategy, seen_as: Mapping[str, str], reshaped: Mapping[str, Fit]) -> Strategy:
    kept = {tensor: fit for tensor, fit in strategy.fits.items() if tensor not in seen_as}
    return replace(strategy, fits={**kept, **reshaped})


def _smoothed_range(channels: ChannelObserver, smoothing: Smoothing) -> Range:
    seen = channels.counts > 0
    low, high = channels.low[seen] / smoothing.factors[seen], channels.high[seen] / smoothing.factors[seen]
    return (
        smoothing.headroom * min(0.0, float(low.min(initial=0.0))),
        smoothing.headroom * max(0.0, float(high.max(initial=0.0))),
    )
