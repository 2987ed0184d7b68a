"""Calibrate and quantize with Lowbit's own stages, as a job runs them."""

import io
from pathlib import Path

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.static import StaticRecipe
from benchmarks.assignment import Quantization
from benchmarks.child import measure
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.pipeline.delivery.production import Workshop
from workers.pipeline.desk import Desk
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.methods.static.method import Static
from workers.pipeline.original import Original
from workers.pipeline.soundness.first_batch import FirstBatch
from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.quantization.executor.onnxruntime_session import quiet_logs
from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu

_PRESETS: dict[str, PresetName] = {"lowbit_fast": "int8-fast", "lowbit_balanced": "int8-balanced"}


def quantize(assignment: Quantization) -> dict[str, Path]:
    """Load, prepare, calibrate in one pass, and write a checked model for each range of the preset."""
    reporter = Reporter(io.StringIO())
    task = _task(assignment)
    path, folder, target = Path(assignment.model), Path(assignment.folder), OnnxRuntimeCpu()
    model = load_model(path)
    description = describe(model)
    feeder = feeder_for(description, open_archive(Path(assignment.archive)), reporter)
    session = target.open(path, threads=assignment.threads)
    first = FirstBatch.of(session, feeder, path, target, reporter, threads=assignment.threads)
    original = Original(path, description, session, feeder, feeder, first)
    steps = StepFolder.of(task, folder, reporter)  # without digests of the inputs, nothing is taken over or kept
    workshop = Workshop(task, target, original, Desk(reporter, steps, assignment.threads), folder)
    method, recipe = Static(), task.recipe
    assert isinstance(recipe, StaticRecipe)
    produced = workshop.produced(method.proposals(recipe), method.begin(recipe, model, path.parent, target))
    return {candidate.key: candidate.path for candidate in produced.candidates}


def _task(assignment: Quantization) -> QuantizeTask:
    return QuantizeTask(
        model=assignment.model,
        calibration=assignment.archive,
        model_name=assignment.contender,
        target=OnnxRuntimeCpu.name,
        recipe=PRESETS[_PRESETS[assignment.contender]].model_copy(update={"calibration_samples": assignment.samples}),
        objective=Objective(),
        benchmark=Benchmark(),
        threads=assignment.threads,
    )


if __name__ == "__main__":
    quiet_logs()
    measure(quantize)
