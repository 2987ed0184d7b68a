"""The model or data set that an inspection is about, and how its end is written to it."""

from typing import Any

from sqlalchemy import Update, update

from app.contracts.problem import Problem, problem
from app.contracts.status import JobKind, JobStatus, ResourceStatus
from app.tables import Dataset, Job, Model

INSPECTIONS = frozenset({JobKind.INSPECT_MODEL, JobKind.INSPECT_DATASET})


def ready(job: Job, *, inspection: dict[str, Any], warnings: list[dict[str, Any]]) -> Update:
    return _subject(job).values(status=ResourceStatus.READY, inspection=inspection, warnings=warnings, problem=None)


def rejected(job: Job, why: Problem) -> Update:
    return _subject(job).values(status=ResourceStatus.REJECTED, problem=why.model_dump(mode="json", exclude_none=True))


def rejection_after(ended: Job) -> Update | None:
    """What to write to the subject after a job was given up, if it was an inspection."""
    if ended.status != JobStatus.FAILED or ended.kind not in INSPECTIONS:
        return None
    crash = problem("inspection_crashed", "The process that inspected the file died, more than once.")
    return rejected(ended, crash)


def _subject(job: Job) -> Update:
    table, subject_id = (
        (Model, job.model_id) if job.kind == JobKind.INSPECT_MODEL else (Dataset, job.calibration_dataset_id)
    )
    return (
        update(table)
        .where(table.tenant_id == job.tenant_id, table.id == subject_id)
        .where(table.status == ResourceStatus.INSPECTING)
        .execution_options(synchronize_session=False)
    )
