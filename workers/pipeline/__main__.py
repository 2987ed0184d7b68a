"""`python -m workers.pipeline SCRATCH`: do the task in SCRATCH/task.json, in a process that holds no credentials.

Each task imports what it needs when it is met: most of the time of an inspection goes into imports, and a data set
needs less than half of all.
"""

import errno
import gc
import sys
import traceback
from pathlib import Path

from app.contracts.problem import Problem, ProblemFound, problem, quoted
from workers.pipeline.seldom_used import load_when_used
from workers.protocol.outcome import OUTCOME_FILE, Finished, Outcome, Refused, Result
from workers.protocol.reporter import Reporter, take_stdout
from workers.protocol.tasks import TASK, TASK_FILE, InspectDatasetTask, InspectModelTask, QuantizeTask, Task
from workers.quantization.executor.executor import RuntimeRefused

_LEAVE_OUT = (
    "The model as it came does run; what was made of it does not. Leave the operator that is named out of the recipe, "
    "with `nodes_to_exclude` or `op_types_to_exclude`, or choose another preset."
)


_OF_THE_MACHINE = frozenset(
    {errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EDQUOT}
)
"""Errors that another attempt, perhaps on another machine, need not meet."""


def main(scratch: Path) -> None:
    """Leave an outcome, good or bad. Without one the process has died, and the job is tried again."""
    reporter = Reporter(take_stdout())
    task = TASK.validate_json((scratch / TASK_FILE).read_bytes())
    _write(scratch, attempt(task, scratch, reporter))


def attempt(task: Task, scratch: Path, reporter: Reporter) -> Outcome:
    """Do the task, or say what stopped it."""
    try:
        return Finished(ok=_perform(task, scratch, reporter))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        return _refused(_problem_of(error, task, reporter), reporter)


def _problem_of(error: Exception, task: Task, reporter: Reporter) -> Problem:
    match error:
        case ProblemFound():
            return error.problem
        case RuntimeRefused():
            detail = f"ONNX Runtime stopped in the middle of the work: {quoted(error.reason)}"
            return problem("model_not_runnable", detail, hint=_LEAVE_OUT)
        case MemoryError():
            return problem("out_of_memory", "The machine refused more memory.")
        case OSError(errno=errno.ENOSPC):
            return problem("insufficient_scratch", "The scratch disk filled up during the job.")
        case _:
            return _unforeseen(error, task, reporter)


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


def _unforeseen(error: Exception, task: Task, reporter: Reporter) -> Problem:
    """Its class and where it was met; what it says may be about our own files, and goes to the log."""
    traceback.print_exception(error)
    where = "before the first stage" if reporter.stage is None else f"in the stage '{reporter.stage}'"
    detail = f"A fault of the service ({type(error).__name__}) stopped the work {where}."
    return problem("unexpected_error" if isinstance(task, QuantizeTask) else "inspection_crashed", detail)


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
