"""What an uploaded model is, and whether it can be trusted to be one. Leaves the form of it that jobs read."""

from pathlib import Path

from app.contracts.problem import quoted, refuse
from workers.ingestion.model_sources import ingest
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.inspection.coverage import coverage_of
from workers.pipeline.inspection.estimate import estimate_of
from workers.pipeline.inspection.multiplications import multiplications_per_sample
from workers.protocol.canonical_files import MODEL_FILE
from workers.protocol.outcome import ModelInspected
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import OUTPUT_FOLDER, InspectModelTask
from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession


def inspect_model(task: InspectModelTask, scratch: Path, reporter: Reporter) -> ModelInspected:
    """Raises ProblemFound for a model that could not be quantized whatever the recipe."""
    output = scratch / OUTPUT_FOLDER
    output.mkdir(exist_ok=True)
    found = ingest(task, scratch, output, reporter)
    try:
        OnnxRuntimeSession(output / MODEL_FILE, threads=1, optimized=False)
    except RuntimeRefused as error:
        raise refuse("model_not_runnable", quoted(error.reason)) from error
    inspection = describe(found.model)
    if not inspection.inputs:
        raise refuse("onnx_invalid", "The model has no inputs.", hint="Export it with the inputs that data is for.")
    coverage = {} if inspection.already_quantized else coverage_of(found.model, output)
    inspection = inspection.model_copy(update={**found.facts, "coverage": coverage})
    told = {
        "estimate": estimate_of(found.model, coverage),
        "multiplications_per_sample": multiplications_per_sample(found.model, inspection),
    }
    return ModelInspected(
        inspection=inspection.model_copy(update=told), files=found.files, warnings=tuple(reporter.warnings)
    )
