"""Quantize with Lowbit: the process that a job runs, from its task to its outcome."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.request import RecipeRequest
from app.contracts.result import QuantizeOutcome
from benchmarks.assignment import Production
from workers.protocol.outcome import Finished, Quantized
from workers.protocol.tasks import OUTPUT_FOLDER, TASK_FILE, QuantizeTask
from workers.sandbox.levels import Level
from workers.supervision.abnormal_end import ProcessCrashed
from workers.supervision.process.job_process import COMMAND, LOG_FILE, run
from workers.supervision.process.limits import Limits

_MODEL, _CALIBRATION = "model.onnx", "calibration.npz"


def quantize(told: Production) -> None:
    """Write the candidate that the job itself names as the best. It sees no evaluation data: those rows judge it."""
    with tempfile.TemporaryDirectory(dir=Path(told.written).parent, prefix="job-") as folder:
        scratch = Path(folder)
        shutil.copyfile(told.model, scratch / _MODEL)
        shutil.copyfile(told.archive, scratch / _CALIBRATION)
        (scratch / TASK_FILE).write_text(_task(told).model_dump_json(), encoding="utf-8")
        outcome = _outcome(scratch)
        best = next(file for file in outcome.files if file.variant_key == outcome.best and file.kind == "model")
        print(f"{outcome.best}: {outcome.verdict}")
        shutil.copyfile(scratch / OUTPUT_FOLDER / best.path, told.written)


def _task(told: Production) -> QuantizeTask:
    return QuantizeTask(
        model=_MODEL,
        calibration=_CALIBRATION,
        model_name=told.contender,
        target="onnxruntime-cpu",
        recipe=RecipeRequest.model_validate({**told.recipe, "calibration_samples": told.samples}).resolve(),
        objective=Objective(),
        benchmark=Benchmark(),
        threads=told.threads,
    )


def _outcome(scratch: Path) -> QuantizeOutcome:
    """Raises RuntimeError when the job is refused, ProcessCrashed when it does not come to an end."""
    try:
        ended = run(
            scratch, command=COMMAND, level=Level.NONE, limits=Limits(), on_event=lambda _: None, check=lambda: None
        )
    except ProcessCrashed:
        print((scratch / LOG_FILE).read_text(encoding="utf-8", errors="replace"))
        raise
    match ended:
        case Finished(ok=Quantized() as quantized):
            return quantized.outcome
        case _:
            raise RuntimeError(f"The job was refused: {ended}")


if __name__ == "__main__":
    quantize(Production(**json.loads(sys.argv[1])))
