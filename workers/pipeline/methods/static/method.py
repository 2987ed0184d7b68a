"""Static int8: calibrate once, refine, and draft a model for each strategy that fits ranges."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.problem import refuse
from app.contracts.recipes.static import StaticRecipe
from app.contracts.status import Stage
from workers.pipeline.desk import Desk
from workers.pipeline.feeding.feeder import fitting_rows
from workers.pipeline.methods.lifting import not_convertible
from workers.pipeline.methods.method import Draft, Proposal
from workers.pipeline.methods.static.calibration import calibrate
from workers.pipeline.methods.static.contest import Contest, Observed
from workers.pipeline.methods.static.judging import Choice, Errors, Made, Panel, mean_errors
from workers.pipeline.methods.static.layer_reports import layer_reports
from workers.pipeline.methods.static.left_out import without
from workers.pipeline.methods.static.refinement import Calibrated, Refiner
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics, ranges_alone
from workers.pipeline.methods.static.statistics_form import StatisticsForm
from workers.pipeline.methods.static.strategies import named_strategies
from workers.pipeline.original import Original
from workers.pipeline.sensitivity.division import Division
from workers.pipeline.sensitivity.held_out import NOBODY
from workers.pipeline.sensitivity.layer_trials import LayerTrials
from workers.pipeline.soundness.preparation import passes_to_leave_out
from workers.protocol.gathering import graph_wish
from workers.protocol.step_keys import Calibration, calibration_of
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.targets.preparation import Prepared
from workers.targets.target import Target


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
            raise not_convertible(error) from error
        if not prepared.placement.weights:
            raise refuse("nothing_to_quantize", _why_nothing(prepared))
        return StaticMaker(recipe, target, model, folder, prepared)


def _constants(prepared: Prepared) -> set[str]:
    """By name: a pass that changes one adds another."""
    return set(prepared.model.graph.initializers)


def _why_nothing(prepared: Prepared) -> str:
    reasons = Counter(f"{d.op_type}: {d.reason}" for d in prepared.placement.decisions)
    if not reasons:
        return "The model has no Conv, Gemm or MatMul with constant weights."
    return "All candidates stay in float. " + " ".join(f"{r} ({n} times)" for r, n in reasons.most_common(5))


@dataclass(frozen=True)
class _Shared:
    """What the proposals of a job have in common."""

    rows: int
    division: Division
    calibrated_by: str | None
    wanted: tuple[Made, ...]
    judged: Choice | None = None
    """Where samples could judge, what they chose: the one that is wanted."""


@dataclass
class StaticMaker:
    recipe: StaticRecipe
    target: Target
    model: onnx.ModelProto
    folder: Path
    """Where the model's external data lies."""
    prepared: Prepared
    stage: Stage = Stage.CALIBRATE
    _shared: _Shared | None = None
    _errors: dict[str, Errors] = field(default_factory=dict)
    """By strategy, where layers were tried."""

    @property
    def calibrated_by(self) -> str | None:
        return None if self._shared is None else self._shared.calibrated_by

    def make(
        self, proposal: Proposal, original: Original, desk: Desk, *, left_out: frozenset[str] = frozenset()
    ) -> tuple[Draft, ...]:
        shared = self._shared = self._shared or self._calibrated(original, desk)
        wanted: Sequence[Made] = shared.wanted
        if shared.judged is None:
            assert isinstance(proposal.recipe, StaticRecipe)  # as this method proposed it
            named = named_strategies(proposal.recipe)
            wanted = [made for made in wanted if (made.strategy.method, made.strategy.percentile) in named]
        return tuple(draft for made in wanted for draft in self._drafts(made, shared, original, desk, left_out))

    def _calibrated(self, original: Original, desk: Desk) -> _Shared:
        plain = self._proven(original, desk)
        rows = fitting_rows(original.executor, original.calibration, desk.reporter)
        asked = calibration_of(desk.steps.ground, self.recipe)
        judges = asked.gathering.judged and original.output is not None
        deal = Division.of if judges else Division.undivided
        division = deal(original.calibration, limit=asked.gathering.samples)
        parts, plain_parts = self._statistics(asked, division, original, desk, plain=plain if judges else self.prepared)
        desk.reporter.enter(Stage.QUANTIZE)
        refiner = Refiner(self.recipe, self.target, desk)
        by = parts[0].executor
        if not judges:
            (statistics,) = parts
            refined = refiner.unjudged(Calibrated(self.prepared, statistics, NOBODY))
            return _Shared(rows, division, by, tuple(Made(refined, s) for s in refined.strategies))
        panel = Panel(self.target, desk, original, division, rows)
        contest = Contest(refiner, panel, Observed(self.prepared, parts), Observed(plain, plain_parts))
        choice, made = contest.decided(corrects=self.recipe.bias_correction)
        return _Shared(rows, division, by, (made,), choice)

    def _proven(self, original: Original, desk: Desk) -> Prepared:
        """Without the passes that would change the answers. Returns the graph without equalization, for recipes that
        compare; the same one where nothing was equalized."""

        def graph(left_out: frozenset[str]) -> ir.Model:
            return (self._prepared(left_out) if left_out else self.prepared).model

        left_out = passes_to_leave_out(graph, self.target.passes, original.first, desk.reporter)
        if left_out:
            self.prepared = self._prepared(left_out)
        if self.recipe.calibration_method != "measured" or self.recipe.equalize == "off":
            return self.prepared
        plain = self._prepared(left_out | {"equalize"})
        return self.prepared if _constants(plain) == _constants(self.prepared) else plain

    def _prepared(self, left_out: frozenset[str]) -> Prepared:
        schemes = self.target.schemes(per_channel=self.recipe.per_channel)
        return self.target.prepare(self.model, self.folder, graph_wish(self.recipe), schemes, without=left_out)

    def _statistics(
        self, asked: Calibration, division: Division, original: Original, desk: Desk, *, plain: Prepared
    ) -> tuple[Sequence[Statistics], Sequence[Statistics]]:
        """Of each part; and the same of the graph that is not equalized, where it is another."""
        empty = [
            empty_statistics(self.prepared.model.graph, self.prepared.placement, asked.gathering)
            for _ in range(division.parts)
        ]
        if division.parts > 1 and not division.is_mutual:
            empty[0].moments.clear()  # it only judges, and the others are enough for a mean
        count = 0 if plain is self.prepared else division.parts
        beside = [ranges_alone(plain.placement) for _ in range(count)]

        def observed() -> tuple[Statistics, ...]:
            for prepared, parts in [(self.prepared, empty), (plain, beside)]:
                if parts:
                    calibrate(
                        prepared,
                        original.calibration,
                        desk.reporter,
                        parts=parts,
                        division=division,
                        threads=desk.threads,
                    )
            return (*empty, *beside)

        found = desk.steps.result(asked, StatisticsForm((*empty, *beside)), observed)
        main = found[: division.parts]
        return main, found[division.parts :] or main

    def _drafts(
        self, made: Made, shared: _Shared, original: Original, desk: Desk, left_out: frozenset[str]
    ) -> tuple[Draft, ...]:
        errors = self._tried(made, shared, original, desk)
        if left_out:
            made = Made(*without(made.refined, made.strategy, left_out, recipe=self.recipe, target=self.target))
            errors = {node: error for node, error in errors.items() if node in made.refined.prepared.quantized}
        refined, strategy = made.refined, made.strategy
        corrects = self.recipe.bias_correction if shared.judged is None else shared.judged.corrected
        corrections = mean_errors(refined.prepared, errors) if corrects else {}
        layers = layer_reports(refined, strategy, errors, corrected=corrections.keys())
        forms = self.target.forms(refined.prepared, made.numbers(corrections))
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

    def _tried(self, made: Made, shared: _Shared, original: Original, desk: Desk) -> Errors:
        """The layers of one strategy; of all at once where all become candidates, since the float model runs once."""
        if not self.recipe.bias_correction and self.recipe.calibration_method != "measured":
            return {}
        if made.strategy.key not in self._errors:
            ways = {m.strategy.key: m.ways for m in shared.wanted}
            trials = LayerTrials(made.refined.prepared, made.refined.rounded, ways, desk.threads)
            self._errors |= trials.run(
                original.calibration, desk.reporter, division=shared.division, part=None, rows=shared.rows
            )
        return self._errors[made.strategy.key]
