"""Static int8: calibrate once, refine, and write a candidate for each set of ranges."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.contracts.status import Stage
from workers.pipeline.delivery.candidates import Produced, _written
from workers.pipeline.feeding.feeder import Feeder, fitting_rows
from workers.pipeline.methods.method import Draft
from workers.pipeline.methods.static.calibration import calibrate
from workers.pipeline.methods.static.layer_reports import layer_reports
from workers.pipeline.methods.static.refinement import Refined, refine
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics
from workers.pipeline.methods.static.statistics_form import StatisticsForm
from workers.pipeline.methods.static.strategies import Strategy
from workers.pipeline.sensitivity.held_out import HeldOut, hold_out, samples_held_out
from workers.pipeline.sensitivity.layer_trials import try_layers
from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.executor.onnxruntime_session import Session, loaded
from workers.quantization.layer_trial import LayerError
from workers.quantization.passes.correct_bias import has_correctable_bias
from workers.targets.preparation import Prepared
from workers.targets.qdq_form import build


def static_candidates(
    prepared: Prepared,
    baseline: Session,
    feeder: Feeder,
    task: QuantizeTask,
    folder: Path,
    steps: StepFolder,
    *,
    output: str | None,
) -> Produced:
    """Raises ProblemFound. `output`: the name of the float output that quality is judged by, if there is one."""
    reporter = steps.reporter
    rows = fitting_rows(baseline, feeder, reporter)
    held_out = _hold_out(baseline, feeder, task, output=output, rows=rows)
    statistics = _calibrated(prepared, feeder, task, steps, held_out)
    reporter.enter(Stage.QUANTIZE)
    alternatives = refine(prepared, statistics, task.recipe, held_out, steps, threads=task.threads)
    wanted = [(refined, strategy) for refined in alternatives for strategy in refined.strategies]
    if held_out.batches:
        wanted = [_best(wanted, task, held_out, reporter)]
    drafts = [_draft(refined, strategy, feeder, task, reporter, rows=rows) for refined, strategy in wanted]
    return Produced(tuple(c for draft in drafts for c in _written(draft, task, folder)), statistics.executor)


def _calibrated(
    prepared: Prepared, feeder: Feeder, task: QuantizeTask, steps: StepFolder, held_out: HeldOut
) -> Statistics:
    empty = empty_statistics(prepared.model.graph, prepared.placement, task.recipe)
    return steps.result(
        "calibrate",
        StatisticsForm(empty),
        lambda: calibrate(
            prepared,
            feeder,
            steps.reporter,
            statistics=empty,
            threads=task.threads,
            samples=task.recipe.calibration_samples,
            held_out=samples_held_out(_samples(feeder, task)) if held_out.batches else 0,
        ),
    )


def _samples(feeder: Feeder, task: QuantizeTask) -> int:
    return min(task.recipe.calibration_samples or feeder.samples.num_samples, feeder.samples.num_samples)


def _hold_out(baseline: Session, feeder: Feeder, task: QuantizeTask, *, output: str | None, rows: int) -> HeldOut:
    """Nothing, unless the recipe measures: a slice costs calibration samples."""
    if task.recipe.calibration_method != "measured" or output is None:
        return HeldOut(output or "", ())
    return hold_out(baseline, feeder, output=output, rows=rows)


def _draft(
    refined: Refined, strategy: Strategy, feeder: Feeder, task: QuantizeTask, reporter: Reporter, *, rows: int
) -> Draft:
    errors: dict[str, LayerError] = {}
    if task.recipe.bias_correction or task.recipe.calibration_method == "measured":
        errors = try_layers(
            refined.prepared, refined.rounded, strategy.ranges, feeder, reporter, rows=rows, threads=task.threads
        )
    corrections = _mean_errors(refined.prepared, errors) if task.recipe.bias_correction else {}
    model = build(refined.prepared, strategy.ranges, rounded=refined.rounded, mean_errors=corrections)
    layers = layer_reports(refined, strategy, errors, corrected=corrections.keys())
    return Draft(
        strategy.key,
        strategy.label,
        strategy.method,
        refined.prepared.placement.weights_dtype,
        strategy.percentile,
        model,
        layers,
    )


def _mean_errors(prepared: Prepared, errors: Mapping[str, LayerError]) -> dict[str, npt.NDArray[np.float64]]:
    nodes = {node.name: node for node in prepared.model.graph}
    return {name: e.bias for name, e in errors.items() if e.positions and has_correctable_bias(nodes[name])}


def _best(
    wanted: Sequence[tuple[Refined, Strategy]], task: QuantizeTask, held_out: HeldOut, reporter: Reporter
) -> tuple[Refined, Strategy]:
    """What comes closest to the float model's output on samples that shaped none of the ranges."""
    quality = []
    for refined, strategy in wanted:
        model = build(refined.prepared, strategy.ranges, rounded=refined.rounded)
        quality.append(held_out.sqnr_db(loaded(model, threads=task.threads)))
        smoothed = f" with {len(refined.alphas)} tensors smoothed" if refined.alphas else ""
        reporter.log(f"On held-out samples, before bias correction: {strategy.label}{smoothed} {quality[-1]:.1f} dB.")
    return wanted[int(np.argmax(quality))]
