"""`python -m workers.pipeline SCRATCH`: do the task in SCRATCH/task.json, in a process that holds no credentials.

Each task imports what it needs when it is met: most of the time of an inspection goes into imports, and a data set
needs less than half of all.
"""

import errno
import gc
import sys
from pathlib import Path

from app.contracts.problem import Problem, ProblemFound, problem, quoted
from workers.pipeline.seldom_used import load_when_used
from workers.protocol.outcome import OUTCOME_FILE, Finished, Outcome, Refused, Result
from workers.protocol.reporter import Reporter, take_stdout
from workers.protocol.tasks import TASK, TASK_FILE, InspectDatasetTask, InspectModelTask, Task
from workers.quantization.executor.executor import RuntimeRefused

_LEAVE_OUT = (
    "The model as it came does run; what was made of it does not. Leave the operator that is named out of the recipe, "
    "with `nodes_to_exclude` or `op_types_to_exclude`, or choose another preset."
)


def main(scratch: Path) -> None:
    """Leave an outcome, good or bad. What is not foreseen here escapes, and the supervisor sees a crash."""
    reporter = Reporter(take_stdout())
    task = TASK.validate_json((scratch / TASK_FILE).read_bytes())
    _write(scratch, attempt(task, scratch, reporter))


def attempt(task: Task, scratch: Path, reporter: Reporter) -> Outcome:
    """Do the task, or say what stopped it."""
    try:
        return Finished(ok=_perform(task, scratch, reporter))
    except ProblemFound as found:
        return _refused(found.problem, reporter)
    except RuntimeRefused as refused:
        detail = f"ONNX Runtime stopped in the middle of the work: {quoted(refused.reason)}"
        return _refused(problem("model_not_runnable", detail, hint=_LEAVE_OUT), reporter)
    except MemoryError:
        return _refused(problem("out_of_memory", "The machine refused more memory."), reporter)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _refused(problem("insufficient_scratch", "The scratch disk filled up during the job."), reporter)


def _perform(task: Task, scratch: Path, reporter: Reporter) -> Result:
    if isinstance(task, InspectDatasetTask):
        from workers.pipeline.inspection.dataset import inspect_dataset  # noqa: PLC0415  as said above

        return inspect_dataset(
            scratch / task.dataset,
            max_unpacked_bytes=task.max_unpacked_bytes,
            reporter=reporter,
            preparation=task.preparation,
        )
    from workers.quantization.executor.onnxruntime_session import quiet_logs  # noqa: PLC0415

    quiet_logs()
    if isinstance(task, InspectModelTask):
        from workers.pipeline.inspection.model import inspect_model  # noqa: PLC0415

        return inspect_model(task, scratch, reporter)
    from workers.pipeline.quantize import quantize  # noqa: PLC0415

    return quantize(task, scratch, reporter)


def _refused(found: Problem, reporter: Reporter) -> Refused:
    stage = None if reporter.stage is None else str(reporter.stage)
    return Refused(problem=found.model_copy(update={"stage": stage}))


def _write(scratch: Path, outcome: Outcome) -> None:
    """Whole or not at all: the supervisor takes the file's presence for the end of the work."""
    partial = scratch / f"{OUTCOME_FILE}.partial"
    partial.write_text(outcome.model_dump_json(), encoding="utf-8")
    partial.replace(scratch / OUTCOME_FILE)


if __name__ == "__main__":
    load_when_used()
    main(Path(sys.argv[1]))
    gc.freeze()  # the system takes everything back: no search for garbage through all that was loaded
