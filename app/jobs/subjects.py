"""The model, data set or upload that an inspection is about, and how its end is written to it."""

from typing import Any

from sqlalchemy import Update, update

from app.contracts.problem import Problem, problem
from app.contracts.status import JobKind, JobStatus, ResourceStatus, UploadStatus
from app.tables import Dataset, Job, Model, Upload

INSPECTIONS = frozenset({JobKind.INSPECT_MODEL, JobKind.INSPECT_DATASET, JobKind.VERIFY_UPLOAD})


def ready(job: Job, *, inspection: dict[str, Any], warnings: list[dict[str, Any]]) -> Update:
    return _subject(job).values(status=ResourceStatus.READY, inspection=inspection, warnings=warnings, problem=None)


def rejected(job: Job, why: Problem) -> Update:
    found = why.model_dump(mode="json", exclude_none=True)
    if job.kind == JobKind.VERIFY_UPLOAD:
        return _upload(job).values(status=UploadStatus.FAILED, problem=found, parts=None)
    return _subject(job).values(status=ResourceStatus.REJECTED, problem=found)


def rejection_after(ended: Job) -> Update | None:
    """What to write to the subject after a job was given up, if it was an inspection."""
    if ended.status != JobStatus.FAILED or ended.kind not in INSPECTIONS:
        return None
    if ended.kind == JobKind.VERIFY_UPLOAD:
        return rejected(ended, problem("worker_lost", "The worker was lost during the verification, more than once."))
    if ended.losses >= ended.max_attempts:  # a machine that is too busy does that too: it is not said to be the file
        lost = "The worker was lost during the inspection, more than once."
        return rejected(ended, problem("worker_lost", lost, hint="Create it again from the same file, which is kept."))
    return rejected(ended, problem("inspection_crashed", "The process that inspected the file died, more than once."))


def awaited_again(requeued: Job) -> Update | None:
    """What to write to the subject of an inspection that is to run again: it was rejected when the job was given up.

    The parts of an upload are gone by then, so it stays as it is.
    """
    if requeued.kind not in {JobKind.INSPECT_MODEL, JobKind.INSPECT_DATASET}:
        return None
    return _subject(requeued, now=ResourceStatus.REJECTED).values(status=ResourceStatus.INSPECTING, problem=None)


def _subject(job: Job, *, now: ResourceStatus = ResourceStatus.INSPECTING) -> Update:
    table, subject_id = (
        (Model, job.model_id) if job.kind == JobKind.INSPECT_MODEL else (Dataset, job.calibration_dataset_id)
    )
    return (
        update(table)
        .where(table.tenant_id == job.tenant_id, table.id == subject_id)
        .where(table.status == now)
        .execution_options(synchronize_session=False)
    )


def _upload(job: Job) -> Update:
    return (
        update(Upload)
        .where(Upload.tenant_id == job.tenant_id, Upload.id == job.upload_id)
        .where(Upload.status == UploadStatus.VERIFYING)
        .execution_options(synchronize_session=False)
    )
