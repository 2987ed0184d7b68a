"""From statistics to what will be written: smoothed tensors, rounded weights, and the fits of each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.desk import Desk
from workers.pipeline.methods.static.smoothing import smoothings
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.methods.static.strategies import (
    Fit,
    Strategy,
    all_fits,
    measured_strategy,
    named_strategies,
    uniform_strategy,
)
from workers.pipeline.methods.static.weights import rounded_weights
from workers.pipeline.sensitivity.held_out import HeldOut
from workers.pipeline.sensitivity.measured_form import ChoiceForm, NoiseForm
from workers.pipeline.sensitivity.probe import PROBED, SensitivityProbe, best_ranges, sensitivities
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
    """The prepared model, and what one pass of the data showed of it."""

    prepared: Prepared
    statistics: Statistics
    held_out: HeldOut


@dataclass(frozen=True)
class Refined:
    """All that the candidates of a job share, and the strategies in which they differ."""

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

    def refine(self, known: Calibrated) -> tuple[Refined, ...]:
        """With smoothing and, where samples are held out to judge, without.

        Smoothed channels reach the whole range, so that new data clips sooner: with few rows a channel that can cost
        more than smoothing gains.
        """
        measured = self.recipe.calibration_method == "measured"
        asked = known.held_out.first(PROBED)
        wanted = measured and bool(asked.batches)
        probe = SensitivityProbe.of(known.prepared, asked, threads=self.desk.threads) if wanted else None
        noises = None if probe is None else self._noises(known, probe)
        chosen = smoothings(known.prepared, known.statistics, self.recipe, noises)
        placement = known.prepared.placement
        strategies = [uniform_strategy(named, placement, known.statistics) for named in named_strategies(self.recipe)]
        if probe is not None and noises is not None:
            strategies.append(self._measured(known, probe, noises, chosen))
        costs_db = {tensor: decibels(asked.signal, noise) for tensor, noise in (noises or {}).items()}
        alternatives = [chosen, {}] if chosen and probe is not None else [chosen]
        return tuple(self._refined(known, some, strategies, costs_db) for some in alternatives)

    def _noises(self, known: Calibrated, probe: SensitivityProbe) -> dict[str, float]:
        """What rounding each tensor alone over its full range costs at the output."""
        placement = known.prepared.placement
        full = {
            tensor: Fit.of(min_max_range(known.statistics.ranges[tensor]), "min-max", scheme).qparams
            for tensor, scheme in placement.scheme_of.items()
        }
        asked = sensitivity_of(self.desk.steps.ground, self.recipe)
        return self.desk.steps.result(
            asked, NoiseForm(placement.observed), lambda: sensitivities(probe, full, self.desk.reporter)
        )

    def _measured(
        self,
        known: Calibrated,
        probe: SensitivityProbe,
        noises: Mapping[str, float],
        chosen: Mapping[str, Smoothing],
    ) -> Strategy:
        """The best range of each tensor that matters, min-max for the others and for those that smoothing reshapes."""
        placement = known.prepared.placement
        fits = all_fits(placement, known.statistics)
        tried = {t: {name: fit.qparams for name, fit in some.items()} for t, some in fits.items() if t not in chosen}
        asked = range_search_of(self.desk.steps.ground, self.recipe)
        best = self.desk.steps.result(
            asked, ChoiceForm(tried), lambda: best_ranges(probe, noises, tried, self.desk.reporter)
        )
        return measured_strategy(placement, {t: some[best.get(t, "min_max")] for t, some in fits.items()})

    def _refined(
        self,
        known: Calibrated,
        chosen: Mapping[str, Smoothing],
        strategies: Sequence[Strategy],
        costs_db: Mapping[str, float],
    ) -> Refined:
        smoothed, origin = self._smoothed(known.prepared, chosen)
        rounded = rounded_weights(smoothed, known.statistics, origin, self.recipe, self.desk.reporter)
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
    """Smoothed tensors keep all of their values: their extremes follow exactly from those of the channels."""
    schemes = smoothed.placement.scheme_of
    return {
        tensor: Fit.of(
            _smoothed_range(statistics.channels[source], smoothing),
            f"min-max after smoothing (alpha {smoothing.alpha:g})",
            schemes[tensor],
        )
        for tensor, (source, smoothing) in origin.items()
    }


def _after_smoothing(strategy: Strategy, seen_as: Mapping[str, str], reshaped: Mapping[str, Fit]) -> Strategy:
    kept = {tensor: fit for tensor, fit in strategy.fits.items() if tensor not in seen_as}
    return replace(strategy, fits={**kept, **reshaped})


def _smoothed_range(channels: ChannelObserver, smoothing: Smoothing) -> Range:
    seen = channels.counts > 0
    low, high = channels.low[seen] / smoothing.factors[seen], channels.high[seen] / smoothing.factors[seen]
    return min(0.0, float(low.min(initial=0.0))), max(0.0, float(high.max(initial=0.0)))
