"""A quantize job from the model to its report, stage by stage."""

from pathlib import Path

from app.contracts.problem import quoted, refuse
from app.contracts.status import Stage
from workers.pipeline.delivery.production import Workshop
from workers.pipeline.delivery.report import REPORT_FILE
from workers.pipeline.desk import Desk
from workers.pipeline.evaluation.benchmark import benchmark
from workers.pipeline.methods.exclusions import refuse_unknown_nodes
from workers.pipeline.methods.known import method_of
from workers.pipeline.original import float_model, open_original
from workers.pipeline.pair_limit import tell_of_pair_limit
from workers.pipeline.search.conclusion import Measured, conclude
from workers.pipeline.search.judging import judged
from workers.pipeline.search.variants import BASELINE
from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.outcome import Quantized
from workers.protocol.reporter import Reporter
from workers.protocol.settled import settled
from workers.protocol.tasks import OUTPUT_FOLDER, QuantizeTask
from workers.targets.known import TargetUnknown, target_named
from workers.targets.target import Target


def quantize(task: QuantizeTask, scratch: Path, reporter: Reporter) -> Quantized:
    """Raises ProblemFound for what the user can put right."""
    task = task.model_copy(update={"recipe": settled(task.recipe)})
    target = _target(task.target)
    method = method_of(task.recipe)
    desk = Desk(reporter, StepFolder.of(task, scratch, reporter), task.threads)
    outputs = scratch / OUTPUT_FOLDER
    outputs.mkdir(exist_ok=True)
    reporter.enter(Stage.INSPECT)
    model, description = float_model(scratch / task.model)
    refuse_unknown_nodes(task.recipe.nodes_to_exclude, model, (scratch / task.model).parent)
    maker = method.begin(task.recipe, model, (scratch / task.model).parent, target)
    reporter.enter(Stage.BASELINE)
    original = open_original(model, description, task, scratch, target, reporter)
    tell_of_pair_limit(task.recipe, reporter, has_vnni=target.facts().cpu_has_vnni)
    produced = Workshop(task, target, original, desk, outputs).produced(method.proposals(task.recipe), maker)
    reporter.enter(Stage.EVALUATE)
    tallies = judged(original, produced.candidates, target, desk, objective=task.objective)
    reporter.enter(Stage.BENCHMARK)
    # all at once: only models that take turns are timed fairly
    sessions = {c.key: target.open(c.path, threads=task.threads) for c in produced.candidates}
    timings = benchmark(
        {BASELINE: original.session, **sessions}, original.evaluation, task.benchmark, reporter, baseline=BASELINE
    )
    reporter.enter(Stage.PACKAGE)
    outcome = conclude(Measured(original, produced, tallies, timings), task, target, reporter)
    (outputs / REPORT_FILE).write_text(outcome.model_dump_json(indent=2), encoding="utf-8")
    return Quantized(outcome=outcome)


def _target(name: str) -> Target:
    try:
        return target_named(name)
    except TargetUnknown as error:
        raise refuse("target_unavailable", f"This worker cannot serve the target {quoted(name)}.") from error
