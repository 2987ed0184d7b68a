"""The float model, loaded, with the data that it will meet."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import Preparation
from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.opening import open_samples
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.ingestion.onnx_model.rules import refuse_untrustworthy
from workers.pipeline.feeding.class_labels import class_labels, holds_classes
from workers.pipeline.feeding.feeder import Feeder, feeder_for
from workers.pipeline.feeding.index_limits import index_limits
from workers.pipeline.feeding.overlap import warn_of_overlap
from workers.pipeline.soundness.first_batch import FirstBatch
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.executor.executor import Array, Executor, RuntimeRefused
from workers.quantization.graph.model_file import files_of
from workers.quantization.passes.store_in_half import HALF_TYPES
from workers.targets.target import Session, Target


@dataclass(frozen=True)
class Original:
    path: Path
    """Its external data lies beside it."""
    description: ModelInspection
    session: Session
    """Serves it as a candidate would be served: the float model is timed like the others."""
    calibration: Feeder
    evaluation: Feeder
    first: FirstBatch

    @property
    def executor(self) -> Executor:
        """Who runs the float model where only its answers count."""
        return self.session

    @property
    def output(self) -> TensorSpec | None:
        """What is compared and scored, if there is anything."""
        return predicting_output(self.description)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """All that hold floats: each is compared."""
        return tuple(o for o in self.description.outputs if _holds_floats(o))

    @property
    def half_types(self) -> tuple[ir.DataType, ...]:
        """The types of half precision that weights are stored in."""
        stored = self.description.parameters_by_dtype
        return tuple(dtype for dtype in HALF_TYPES if str(dtype.numpy()) in stored)

    @property
    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in files_of(self.path))


def predicting_output(model: ModelInspection) -> TensorSpec | None:
    """The first float output."""
    return next((o for o in model.outputs if _holds_floats(o)), None)


def _holds_floats(output: TensorSpec) -> bool:
    return output.dtype.startswith(("float", "bfloat"))


def float_model(path: Path) -> tuple[onnx.ModelProto, ModelInspection]:
    """Look once more, though the model was inspected when it was uploaded: it is cheap, and trust should not travel."""
    model = load_model(path)
    with FilesBeside(path.parent) as files:
        refuse_untrustworthy(model, files)
    description = describe(model)
    if description.already_quantized:
        raise refuse("model_already_quantized", "The model holds quantized operators.")
    return model, description


def open_original(
    model: onnx.ModelProto,
    description: ModelInspection,
    task: QuantizeTask,
    scratch: Path,
    target: Target,
    reporter: Reporter,
) -> Original:
    """Load the float model and run it once on every data set: what does not fit should show before the work starts."""
    path = scratch / task.model
    try:
        session = target.open(path, threads=task.threads)
    except RuntimeRefused as error:
        raise refuse("model_not_runnable", quoted(error.reason)) from error
    description = description.model_copy(update={"classes": task.model_classes})
    calibration, evaluation = _data(task, scratch, description, reporter)
    limits = index_limits(model)
    calibration, evaluation = (replace(feeder, limits=limits) for feeder in (calibration, evaluation))
    _try(session, calibration)
    _refuse_labels(evaluation, predicting_output(description), _try(session, evaluation))
    try:
        first = FirstBatch.of(session, calibration, path, target, reporter, threads=task.threads)
    except RuntimeRefused as error:
        raise _fails(error) from error
    return Original(path, description, session, calibration, evaluation, first)


def _data(task: QuantizeTask, scratch: Path, description: ModelInspection, reporter: Reporter) -> tuple[Feeder, Feeder]:
    """Of calibration and of evaluation, which are the same without evaluation data."""
    folder = (scratch / task.model).parent
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
    return calibration, evaluation


def _feeder(
    path: Path, preparation: Preparation | None, model: ModelInspection, folder: Path, reporter: Reporter
) -> Feeder:
    samples = open_samples(path, preparation=preparation, model=model, model_folder=folder, warn=reporter.warn)
    return feeder_for(model, samples, reporter)


def _refuse_labels(feeder: Feeder, output: TensorSpec | None, answers: dict[str, Array]) -> None:
    """All labels, held against the first answer: a job should not find out at its end."""
    fed = feeder.first()
    if output is None or not holds_classes(answer := fed.per_sample(answers[output.name]), samples=fed.rows):
        return
    for labels in feeder.labels():
        class_labels(labels, np.broadcast_to(answer[:1], (len(labels), *answer.shape[1:])))


def _try(session: Executor, feeder: Feeder) -> dict[str, Array]:
    """The answers to the first samples."""
    try:
        return session.run(feeder.first().feeds)
    except RuntimeRefused as error:
        raise _fails(error) from error


def _fails(error: RuntimeRefused) -> ProblemFound:
    detail = f"The float model fails on the first sample: {quoted(error.reason)}"
    hint = "onnxruntime's session.run with that sample shows it too: mend the data, or the model."
    return refuse("model_not_runnable", detail, hint=hint)
