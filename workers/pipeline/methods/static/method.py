"""Static int8: calibrate once, refine, and draft a model for each strategy that fits ranges."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import onnx

from app.contracts.problem import quoted, refuse
from app.contracts.recipes.static import StaticRecipe
from app.contracts.status import Stage
from workers.pipeline.desk import Desk
from workers.pipeline.feeding.feeder import Feeder, fitting_rows
from workers.pipeline.methods.method import Draft, Proposal
from workers.pipeline.methods.static.calibration import calibrate
from workers.pipeline.methods.static.layer_reports import layer_reports
from workers.pipeline.methods.static.refinement import Calibrated, Refined, Refiner
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics
from workers.pipeline.methods.static.statistics_form import StatisticsForm
from workers.pipeline.methods.static.strategies import Strategy, named_strategies
from workers.pipeline.original import Original
from workers.pipeline.sensitivity.held_out import HeldOut, hold_out, samples_held_out
from workers.pipeline.sensitivity.layer_trials import LayerTrials
from workers.protocol.gathering import Gathering, graph_wish
from workers.protocol.step_keys import calibration_of
from workers.quantization.affine import DoubleArray
from workers.quantization.executor.onnxruntime_session import loaded
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.quantization.layer_trial import LayerError
from workers.quantization.passes.correct_bias import has_correctable_bias
from workers.targets.preparation import Prepared
from workers.targets.target import Numbers, Target

Wanted = tuple[Refined, Strategy]
Errors = Mapping[str, LayerError]
"""By operator."""


class Static:
    def proposals(self, recipe: StaticRecipe) -> tuple[Proposal, ...]:
        """One for each percentile; whoever measures decides among ranges himself."""
        if recipe.calibration_method != "percentile":
            return (Proposal(recipe=recipe),)
        return tuple(Proposal(recipe=recipe.model_copy(update={"percentiles": (p,)})) for p in recipe.percentiles)

    def begin(self, recipe: StaticRecipe, model: onnx.ModelProto, folder: Path, target: Target) -> "StaticMaker":
        schemes = target.schemes(per_channel=recipe.per_channel)
        try:
            prepared = target.prepare(model, folder, graph_wish(recipe), schemes)
        except OpsetNotConvertible as error:
            detail = f"The model cannot be converted to opset 13, which int8 needs: {quoted(str(error))}"
            raise refuse("onnx_opset_unsupported", detail) from error
        if not prepared.placement.weights:
            raise refuse("nothing_to_quantize", _why_nothing(prepared))
        return StaticMaker(recipe, target, prepared)


def _why_nothing(prepared: Prepared) -> str:
    reasons = Counter(f"{d.op_type}: {d.reason}" for d in prepared.placement.decisions)
    if not reasons:
        return "The model has no Conv, Gemm or MatMul with constant weights."
    return "All candidates stay in float. " + " ".join(f"{r} ({n} times)" for r, n in reasons.most_common(5))


@dataclass(frozen=True)
class _Shared:
    """What the proposals of a job have in common."""

    rows: int
    held_out: HeldOut
    statistics: Statistics
    alternatives: tuple[Refined, ...]


@dataclass
class StaticMaker:
    recipe: StaticRecipe
    target: Target
    prepared: Prepared
    stage: Stage = Stage.CALIBRATE
    _shared: _Shared | None = None
    _errors: dict[str, Errors] = field(default_factory=dict)
    """By strategy, where layers were tried."""

    @property
    def calibrated_by(self) -> str | None:
        return None if self._shared is None else self._shared.statistics.executor

    def make(self, proposal: Proposal, original: Original, desk: Desk) -> tuple[Draft, ...]:
        shared = self._shared = self._shared or self._calibrated(original, desk)
        if shared.held_out.batches:
            return self._drafts(self._best(shared, desk), shared, original, desk)
        assert isinstance(proposal.recipe, StaticRecipe)  # as this method proposed it
        named = named_strategies(proposal.recipe)
        wanted = [(r, s) for r in shared.alternatives for s in r.strategies if (s.method, s.percentile) in named]
        return tuple(draft for one in wanted for draft in self._drafts(one, shared, original, desk))

    def _calibrated(self, original: Original, desk: Desk) -> _Shared:
        rows = fitting_rows(original.executor, original.calibration, desk.reporter)
        held_out = self._hold_out(original, rows=rows)
        asked = calibration_of(desk.steps.ground, self.recipe)
        empty = empty_statistics(self.prepared.model.graph, self.prepared.placement, asked.gathering)
        statistics = desk.steps.result(
            asked,
            StatisticsForm(empty),
            lambda: calibrate(
                self.prepared,
                original.calibration,
                desk.reporter,
                statistics=empty,
                threads=desk.threads,
                samples=asked.gathering.samples,
                held_out=_left_out(held_out, original.calibration, asked.gathering),
            ),
        )
        desk.reporter.enter(Stage.QUANTIZE)
        refiner = Refiner(self.recipe, self.target, desk)
        return _Shared(rows, held_out, statistics, refiner.refine(Calibrated(self.prepared, statistics, held_out)))

    def _hold_out(self, original: Original, *, rows: int) -> HeldOut:
        """Nothing, unless the recipe measures: a slice costs calibration samples."""
        output = original.output
        if self.recipe.calibration_method != "measured" or output is None:
            return HeldOut("" if output is None else output.name, ())
        return hold_out(original.executor, original.calibration, output=output.name, rows=rows)

    def _best(self, shared: _Shared, desk: Desk) -> Wanted:
        """What comes closest to the float model's output on samples that shaped none of the ranges."""
        wanted = [(refined, strategy) for refined in shared.alternatives for strategy in refined.strategies]
        quality = []
        for refined, strategy in wanted:
            portable = next(self.target.forms(refined.prepared, _numbers(refined, strategy)))
            quality.append(shared.held_out.sqnr_db(loaded(portable.model, threads=desk.threads)))
            smoothed = f" with {len(refined.alphas)} tensors smoothed" if refined.alphas else ""
            desk.reporter.log(
                f"On held-out samples, before bias correction: {strategy.label}{smoothed} {quality[-1]:.1f} dB."
            )
        return wanted[quality.index(max(quality))]

    def _drafts(self, wanted: Wanted, shared: _Shared, original: Original, desk: Desk) -> tuple[Draft, ...]:
        refined, strategy = wanted
        errors = self._tried(wanted, shared, original, desk)
        corrections = _mean_errors(refined.prepared, errors) if self.recipe.bias_correction else {}
        layers = layer_reports(refined, strategy, errors, corrected=corrections.keys())
        forms = self.target.forms(refined.prepared, _numbers(refined, strategy, corrections))
        return tuple(
            Draft(
                key=f"{strategy.key}_{form.key}" if form.key else strategy.key,
                label=f"{strategy.label}, {form.label}" if form.label else strategy.label,
                method=strategy.method,
                dtype=refined.prepared.placement.weights_dtype,
                percentile=strategy.percentile,
                model=form.model,
                layers=layers,
                is_portable=not form.key,
            )
            for form in islice(forms, None if self.recipe.runtime_form else 1)
        )

    def _tried(self, wanted: Wanted, shared: _Shared, original: Original, desk: Desk) -> Errors:
        """The layers of one strategy; of all at once where all become candidates, since the float model runs once."""
        refined, strategy = wanted
        if not self.recipe.bias_correction and self.recipe.calibration_method != "measured":
            return {}
        if strategy.key not in self._errors:
            together: Sequence[Strategy] = (strategy,) if shared.held_out.batches else refined.strategies
            ways = {s.key: {tensor: fit.qparams for tensor, fit in s.fits.items()} for s in together}
            trials = LayerTrials(refined.prepared, refined.rounded, ways, desk.threads)
            self._errors |= trials.run(original.calibration, desk.reporter, rows=shared.rows)
        return self._errors[strategy.key]


def _left_out(held_out: HeldOut, feeder: Feeder, asked: Gathering) -> int:
    """How many of the first samples calibration leaves to whoever judges its ranges, if somebody does."""
    there_are = feeder.samples.num_samples
    return samples_held_out(min(asked.samples or there_are, there_are)) if held_out.batches else 0


def _numbers(refined: Refined, strategy: Strategy, mean_errors: Mapping[str, DoubleArray] | None = None) -> Numbers:
    activations = {tensor: fit.qparams for tensor, fit in strategy.fits.items()}
    return Numbers(activations, refined.rounded, mean_errors or {})


def _mean_errors(prepared: Prepared, errors: Errors) -> dict[str, DoubleArray]:
    return {name: e.bias for name, e in errors.items() if e.positions and has_correctable_bias(prepared.nodes[name])}
