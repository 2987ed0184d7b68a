"""What a job can be, and the only table of how it may change."""

from enum import StrEnum


class JobKind(StrEnum):
    """All asynchronous work is a row of one table; `/v1/jobs` shows the users' kinds only."""

    QUANTIZE = "quantize"
    INSPECT_MODEL = "inspect_model"
    INSPECT_DATASET = "inspect_dataset"
    VERIFY_UPLOAD = "verify_upload"


USER_KINDS = frozenset({JobKind.QUANTIZE})


class Queue(StrEnum):
    """Where a job waits. Inspections have a queue of their own, so that none waits behind an hour of calibration."""

    INSPECT = "inspect"
    CPU = "cpu"
    GPU = "gpu"


class JobStatus(StrEnum):
    QUEUED = "queued"  # waits for a worker; also after a lost attempt
    RUNNING = "running"  # a worker holds the lease
    CANCELLING = "cancelling"  # a worker holds the lease and was asked to stop
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})
LEASED = frozenset({JobStatus.RUNNING, JobStatus.CANCELLING})

TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    # back to queued: the worker was lost or shut down, and attempts are left
    JobStatus.RUNNING: frozenset({JobStatus.QUEUED, JobStatus.CANCELLING, JobStatus.SUCCEEDED, JobStatus.FAILED}),
    # succeeded: the work was finished before the request to stop was seen
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED, JobStatus.SUCCEEDED, JobStatus.FAILED}),
    JobStatus.SUCCEEDED: frozenset(),
    # only by an operator's requeue of a job that was given up
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset(),
}


class Stage(StrEnum):
    """The steps inside `running`. Stages are data: a new one breaks no client."""

    FETCH = "fetch"
    INSPECT = "inspect"
    EXPORT = "export"  # of a checkpoint or a program, while it is inspected
    BASELINE = "baseline"
    CALIBRATE = "calibrate"
    QUANTIZE = "quantize"
    EVALUATE = "evaluate"
    BENCHMARK = "benchmark"
    PACKAGE = "package"


QUANTIZE_STAGES: tuple[Stage, ...] = tuple(stage for stage in Stage if stage is not Stage.EXPORT)


class ResourceStatus(StrEnum):
    """The life of a model or a data set."""

    INSPECTING = "inspecting"
    READY = "ready"
    REJECTED = "rejected"


class UploadStatus(StrEnum):
    """The life of a resumable upload."""

    PENDING = "pending"  # takes parts
    VERIFYING = "verifying"  # a worker compares its digest
    COMPLETED = "completed"  # it is a file now
    FAILED = "failed"  # its bytes are not the ones announced; its `problem` says more
    ABORTED = "aborted"
    EXPIRED = "expired"
