"""A quantize job from the model to its report, stage by stage."""

import platform
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx

from app.contracts.inspection import ModelInspection
from app.contracts.preparation import Preparation
from app.contracts.problem import quoted, refuse
from app.contracts.result import Environment, OutputFile, QuantizeOutcome, VariantOutcome
from app.contracts.status import Stage
from workers.ingestion.data.opening import open_samples
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.ingestion.onnx_model.rules import refuse_untrustworthy
from workers.pipeline.benchmark import Benchmarks, benchmark
from workers.pipeline.candidates import Candidate, Produced, lowbit_version
from workers.pipeline.choice import choose, pareto_front
from workers.pipeline.evaluation import Evaluation, evaluate, predicting_output
from workers.pipeline.feeding.feeder import Feeder, feeder_for, fitting_rows
from workers.pipeline.feeding.index_limits import index_limits
from workers.pipeline.feeding.overlap import warn_of_overlap
from workers.pipeline.plain_methods import plain_candidates
from workers.pipeline.produced_form import ProducedForm
from workers.pipeline.static import static_candidates
from workers.pipeline.steps.step_folder import StepFolder
from workers.pipeline.variants import BASELINE, baseline_variant, candidate_variant
from workers.pipeline.verdict import verdict
from workers.protocol.outcome import Quantized
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import OUTPUT_FOLDER, QuantizeTask
from workers.quantization.executor.onnxruntime_session import Session
from workers.quantization.executor.protocol import RuntimeRefused
from workers.quantization.graph.model_file import files_of
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.quantization.placement import NodeNotInModel
from workers.targets import onnxruntime_cpu
from workers.targets.preparation import Prepared, prepare
from workers.targets.processor import cpu_has_vnni, cpu_model

REPORT_FILE = "report.json"


@dataclass(frozen=True)
class _Baseline:
    """The float model, loaded, with the data that it will meet."""

    model: onnx.ModelProto
    """Its external data lies in `folder`."""
    folder: Path
    description: ModelInspection
    session: Session
    calibration: Feeder
    evaluation: Feeder
    size_bytes: int


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


def _inspect(path: Path) -> tuple[onnx.ModelProto, ModelInspection]:
    """Once more, though the model was inspected when it was uploaded: it is cheap, and trust should not travel."""
    model = load_model(path)
    with FilesBeside(path.parent) as files:
        refuse_untrustworthy(model, files)
    description = describe(model)
    if description.already_quantized:
        raise refuse("model_already_quantized", "The model holds quantized operators.")
    return model, description


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


def _load_baseline(
    model: onnx.ModelProto, description: ModelInspection, task: QuantizeTask, scratch: Path, reporter: Reporter
) -> _Baseline:
    """Load the float model and run it once on every data set: what does not fit should show before the work starts."""
    path = scratch / task.model
    try:
        session = Session(path, threads=task.threads)
    except RuntimeRefused as error:
        raise refuse("model_not_runnable", quoted(error.reason)) from error
    folder = (scratch / task.model).parent
    description = description.model_copy(update={"classes": task.model_classes})
    calibration = _feeder(scratch / task.calibration, task.calibration_preparation, description, folder, reporter)
    evaluation = calibration
    if task.evaluation is not None:
        evaluation = _feeder(scratch / task.evaluation, task.evaluation_preparation, description, folder, reporter)
        warn_of_overlap(calibration, evaluation, reporter)
    else:
        reporter.warn(
            "evaluated_on_calibration_data",
            "There is no evaluation data: quality was measured on the data that set the ranges, which flatters it.",
        )
    if task.objective.max_accuracy_drop is not None and not evaluation.has_labels:
        raise refuse("labels_missing", "The job limits the loss of accuracy, but the evaluation data has no labels.")
    limits = index_limits(model)
    calibration, evaluation = (replace(feeder, limits=limits) for feeder in (calibration, evaluation))
    for feeder in (calibration, evaluation):
        _try(session, feeder)
    size_bytes = sum(file.stat().st_size for file in files_of(path))
    return _Baseline(model, path.parent, description, session, calibration, evaluation, size_bytes)


def _feeder(
    path: Path, preparation: Preparation | None, model: ModelInspection, folder: Path, reporter: Reporter
) -> Feeder:
    samples = open_samples(path, preparation=preparation, model=model, model_folder=folder, warn=reporter.warn)
    return feeder_for(model, samples, reporter)


def _try(session: Session, feeder: Feeder) -> None:
    try:
        session.run(feeder.rows_of_exactly(feeder.fixed_batch or 1))
    except RuntimeRefused as error:
        detail = f"The float model fails on the first sample: {quoted(error.reason)}"
        hint = "onnxruntime's session.run with that sample shows it too: mend the data, or the model."
        raise refuse("model_not_runnable", detail, hint=hint) from error


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


def _variants(
    baseline: _Baseline,
    candidates: tuple[Candidate, ...],
    evaluation: Evaluation,
    timings: Benchmarks,
    task: QuantizeTask,
) -> tuple[VariantOutcome, ...]:
    return (
        baseline_variant(baseline.size_bytes, evaluation, timings[BASELINE]),
        *(candidate_variant(c, evaluation, timings[c.key], task.objective) for c in candidates),
    )


def _conclude(
    variants: tuple[VariantOutcome, ...],
    produced: Produced,
    task: QuantizeTask,
    reporter: Reporter,
) -> QuantizeOutcome:
    # all portable candidates are one graph, and so are those in the runtime's own form
    graphs = {c.key: c.portable is None for c in produced.candidates}
    best, outcome = choose(variants, task.objective, graphs=graphs)
    chosen = next(v for v in variants if v.key == best)
    return QuantizeOutcome(
        outcome=outcome,
        verdict=verdict(chosen, variants[0], task.objective, outcome),
        best=best,
        pareto=pareto_front(variants),
        variants=variants,
        files=_files(produced.candidates),
        layers=chosen.layers,
        recipe=task.recipe,
        environment=_environment(task, produced.calibrated_by),
        warnings=tuple(reporter.warnings),
    )


def _files(candidates: tuple[Candidate, ...]) -> tuple[OutputFile, ...]:
    """A form that only one runtime reads is never delivered without the portable one beside it."""
    models = [(path, c.key) for c in candidates for path in (c.path, c.portable) if path is not None]
    files = [_file(path, "model", key) for path, key in models]
    data = [_file(file, "model_data", key) for path, key in models for file in files_of(path) if file != path]
    return (*files, *data, OutputFile(path=REPORT_FILE, kind="report", media_type="application/json"))


def _file(path: Path, kind: Literal["model", "model_data"], key: str) -> OutputFile:
    return OutputFile(path=path.name, kind=kind, media_type="application/octet-stream", variant_key=key)


def _environment(task: QuantizeTask, calibrated_by: str | None) -> Environment:
    return Environment(
        runtime="onnxruntime",
        runtime_version=onnxruntime_cpu.runtime_version(),
        cpu=cpu_model(),
        cpu_has_vnni=cpu_has_vnni(),
        threads=task.threads,
        calibrated_by=calibrated_by,
        python=platform.python_version(),
        lowbit=lowbit_version(),
    )
