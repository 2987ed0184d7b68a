"""The float model, loaded, with the data that it will meet."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from app.contracts.inspection import ModelInspection
from app.contracts.preparation import Preparation
from app.contracts.problem import quoted, refuse
from workers.ingestion.data.opening import open_samples
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.ingestion.onnx_model.rules import refuse_untrustworthy
from workers.pipeline.feeding.feeder import Feeder, feeder_for
from workers.pipeline.feeding.index_limits import index_limits
from workers.pipeline.feeding.overlap import warn_of_overlap
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.executor.onnxruntime_session import Session
from workers.quantization.executor.protocol import RuntimeRefused
from workers.quantization.graph.model_file import files_of


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


def _inspect(path: Path) -> tuple[onnx.ModelProto, ModelInspection]:
    """Once more, though the model was inspected when it was uploaded: it is cheap, and trust should not travel."""
    model = load_model(path)
    with FilesBeside(path.parent) as files:
        refuse_untrustworthy(model, files)
    description = describe(model)
    if description.already_quantized:
        raise refuse("model_already_quantized", "The model holds quantized operators.")
    return model, description


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
