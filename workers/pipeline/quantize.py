"""A quantize job from the model to its report, stage by stage."""

from collections import Counter
from pathlib import Path

import onnx

from app.contracts.problem import quoted, refuse
from app.contracts.status import Stage
from workers.pipeline.delivery.candidates import Produced
from workers.pipeline.delivery.produced_form import ProducedForm
from workers.pipeline.delivery.report import REPORT_FILE
from workers.pipeline.evaluation.benchmark import benchmark
from workers.pipeline.evaluation.comparison import Evaluation, evaluate, predicting_output
from workers.pipeline.feeding.feeder import fitting_rows
from workers.pipeline.methods.dynamic import plain_candidates
from workers.pipeline.methods.static.method import static_candidates
from workers.pipeline.original import _Baseline, _inspect, _load_baseline
from workers.pipeline.search.conclusion import _conclude, _variants
from workers.pipeline.search.variants import BASELINE
from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.outcome import Quantized
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import OUTPUT_FOLDER, QuantizeTask
from workers.quantization.executor.onnxruntime_session import Session
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.quantization.placement import NodeNotInModel
from workers.targets import onnxruntime_cpu
from workers.targets.preparation import Prepared, prepare


def quantize(task: QuantizeTask, scratch: Path, reporter: Reporter) -> Quantized:
    """Raises ProblemFound for what the user can put right."""
    if task.target != onnxruntime_cpu.NAME:
        raise refuse("target_unavailable", f"This worker cannot serve the target {quoted(task.target)}.")
    outputs = scratch / OUTPUT_FOLDER
    outputs.mkdir(exist_ok=True)
    reporter.enter(Stage.INSPECT)
    model, description = _inspect(scratch / task.model)
    prepared = _prepare(model, task, scratch) if task.recipe.method == "static" else None
    reporter.enter(Stage.BASELINE)
    baseline = _load_baseline(model, description, task, scratch, reporter)
    produced = _candidates(prepared, baseline, task, outputs, StepFolder.of(task, scratch, reporter))
    candidates = produced.candidates
    sessions = {c.key: Session(c.path, threads=task.threads) for c in candidates}
    reporter.enter(Stage.EVALUATE)
    evaluation = _evaluate(baseline, sessions, task, reporter)
    reporter.enter(Stage.BENCHMARK)
    timings = benchmark(
        {BASELINE: baseline.session, **sessions}, baseline.evaluation, task.benchmark, reporter, baseline=BASELINE
    )
    reporter.enter(Stage.PACKAGE)
    variants = _variants(baseline, candidates, evaluation, timings, task)
    outcome = _conclude(variants, produced, task, reporter)
    (outputs / REPORT_FILE).write_text(outcome.model_dump_json(indent=2), encoding="utf-8")
    return Quantized(outcome=outcome)


def _prepare(model: onnx.ModelProto, task: QuantizeTask, scratch: Path) -> Prepared:
    try:
        prepared = prepare(model, task.recipe, folder=(scratch / task.model).parent)
    except OpsetNotConvertible as error:
        detail = f"The model cannot be converted to opset 13, which int8 needs: {quoted(str(error))}"
        raise refuse("onnx_opset_unsupported", detail) from error
    except NodeNotInModel as error:
        detail = f"The model has no node {quoted(str(error))}."
        raise refuse("recipe_node_not_found", detail, pointer="/recipe/nodes_to_exclude", entry=str(error)) from error
    if not prepared.placement.weights:
        raise refuse("nothing_to_quantize", _why_nothing(prepared))
    return prepared


def _why_nothing(prepared: Prepared) -> str:
    reasons = Counter(f"{d.op_type}: {d.reason}" for d in prepared.placement.decisions)
    if not reasons:
        return "The model has no Conv, Gemm or MatMul with constant weights."
    return "All candidates stay in float. " + " ".join(f"{r} ({n} times)" for r, n in reasons.most_common(5))


def _candidates(
    prepared: Prepared | None, baseline: _Baseline, task: QuantizeTask, folder: Path, steps: StepFolder
) -> Produced:
    steps.reporter.enter(Stage.QUANTIZE if prepared is None else Stage.CALIBRATE)
    form = ProducedForm(task, folder, baseline.session.inputs, baseline.session.outputs)
    produced = steps.result("quantize", form, lambda: _computed(prepared, baseline, task, folder, steps))
    if steps.reporter.stage != Stage.QUANTIZE:
        steps.reporter.enter(Stage.QUANTIZE)  # nothing was left to do in it: it is over like the others
    return produced


def _computed(
    prepared: Prepared | None, baseline: _Baseline, task: QuantizeTask, folder: Path, steps: StepFolder
) -> Produced:
    if prepared is None:
        return plain_candidates(baseline.model, baseline.folder, task, folder, steps.reporter)
    output = predicting_output(baseline.description)
    return static_candidates(
        prepared,
        baseline.session,
        baseline.calibration,
        task,
        folder,
        steps,
        output=None if output is None else output.name,
    )


def _evaluate(baseline: _Baseline, sessions: dict[str, Session], task: QuantizeTask, reporter: Reporter) -> Evaluation:
    output = predicting_output(baseline.description)
    if output is None:
        reporter.warn("not_comparable", "The model has no float output, so the candidates were not compared with it.")
        if task.objective.max_accuracy_drop is not None:
            raise refuse(
                "labels_invalid",
                "The model has no float output whose classes labels could name.",
                hint="Leave out `max_accuracy_drop`.",
            )
        return Evaluation()
    rows = fitting_rows(baseline.session, baseline.evaluation, reporter)
    return evaluate(baseline.session, sessions, baseline.evaluation, reporter, output=output, rows=rows)
