"""Jobs: as they are asked for, foreseen and shown."""

from typing import Any, Literal, NotRequired, TypedDict

from lowbit.resources.envelope import Links, Notice, RawProblem
from lowbit.resources.results import JobResult


class Objective(TypedDict, total=False):
    metric: str
    max_accuracy_drop: float | None
    minimize: str


class JobRequest(TypedDict):
    """The body that creates a job."""

    model_id: str
    calibration_dataset_id: str
    evaluation_dataset_id: NotRequired[str]
    name: NotRequired[str]
    target: NotRequired[str]
    recipe: NotRequired[dict[str, Any]]
    objective: NotRequired[Objective]
    benchmark: NotRequired[dict[str, Any]]
    labels: NotRequired[dict[str, str]]
    seed: NotRequired[int]


class RecipePreset(TypedDict):
    name: str
    summary: str
    recipe: dict[str, Any]


class JobEstimate(TypedDict):
    """What a job would take, roughly. What nothing is known of is null."""

    peak_memory_bytes: int | None
    quantized_bytes: int | None
    seconds: float | None
    """As long as comparable jobs took there."""
    comparable_jobs: int
    """Finished jobs with the same preset that `seconds` follows from."""


class Validation(TypedDict):
    """The answer to a dry run."""

    ok: bool
    problems: list[RawProblem]
    warnings: list[Notice]
    resolved_recipe: dict[str, Any] | None
    estimate: NotRequired[JobEstimate | None]
    """Null while the model is not ready."""


class Progress(TypedDict):
    fraction: float | None
    completed: int | None
    total: int | None
    unit: str | None


class StageState(TypedDict):
    name: str
    status: Literal["pending", "running", "succeeded", "failed"]
    duration_s: float | None


class JobData(TypedDict):
    id: str
    kind: str
    name: str | None
    status: Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    done: bool
    stage: str | None
    progress: Progress | None
    stages: list[StageState]
    attempt: int
    model_id: str
    calibration_dataset_id: str
    evaluation_dataset_id: str | None
    target: str
    recipe: dict[str, Any]
    objective: Objective | None
    benchmark: dict[str, Any]
    result: JobResult | None
    error: RawProblem | None
    warnings: list[Notice]
    labels: dict[str, str]
    seed: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    links: Links
