"""What a client sends to make a job, and what it gets back."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.inspection import Notice
from app.contracts.naming import Name
from app.contracts.objective import Benchmark, Objective
from app.contracts.problem import Problem
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.request import RecipeRequest
from app.contracts.recipes.stored import stored_recipe
from app.contracts.result import JobResult
from app.contracts.status import TERMINAL, JobKind, JobStatus, Stage
from app.tables import Job

ResourceId = Annotated[str, Field(max_length=64)]
LabelText = Annotated[str, Field(max_length=200)]


class JobValidate(BaseModel):
    """A job that may be asked for later. Its data need not be there yet."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    model_id: ResourceId
    calibration_dataset_id: ResourceId | None = Field(
        default=None, description="Left out, the answer is about the model, the target and the recipe alone."
    )
    evaluation_dataset_id: ResourceId | None = None
    target: Annotated[str, Field(max_length=64)] = "onnxruntime-cpu"
    recipe: RecipeRequest = RecipeRequest()
    objective: Objective = Objective()
    benchmark: Benchmark = Benchmark()
    labels: Annotated[dict[LabelText, LabelText], Field(max_length=32)] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    priority: Annotated[int, Field(ge=-10, le=10, description="Among your own jobs: higher ones run first.")] = 0
    deadline_seconds: Annotated[
        float | None,
        Field(ge=1, le=30 * 24 * 3600, description="Longest time of one attempt; default: as the service is set."),
    ] = None


class JobCreate(JobValidate):
    """A quantize job: a model, data, and a goal."""

    calibration_dataset_id: ResourceId


class StageRead(BaseModel):
    name: Stage
    status: Literal["pending", "running", "succeeded", "failed"]
    duration_s: float | None = None


class ProgressRead(BaseModel):
    """Of the current stage."""

    fraction: float
    completed: int
    total: int
    unit: str


_PARTS = ("events", "logs", "variants", "artifacts")


class JobLinks(BaseModel):
    self: str
    events: str
    logs: str
    variants: str
    artifacts: str


class ReusedRead(BaseModel):
    """A step whose result was taken over instead of computed."""

    step: str
    job_id: str
    """The job that computed it; this one, if an earlier attempt did."""


class JobRead(BaseModel):
    id: str
    object: Literal["job"] = "job"
    kind: JobKind
    name: str
    status: JobStatus
    done: bool
    stage: Stage | None
    progress: ProgressRead | None
    stages: list[StageRead]
    attempt: int
    model_id: str
    calibration_dataset_id: str
    evaluation_dataset_id: str | None
    target: str
    recipe: AnyRecipe
    objective: Objective
    benchmark: Benchmark
    result: JobResult | None
    error: Problem | None
    warnings: list[Notice]
    reused: list[ReusedRead]
    labels: dict[str, str]
    seed: int
    priority: int
    deadline_seconds: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: JobLinks

    @classmethod
    def of(cls, row: Job) -> "JobRead":
        here = f"/v1/jobs/{row.id}"
        fields: dict[str, Any] = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        fields["recipe"] = stored_recipe(row.recipe or {})
        fields["done"] = row.status in TERMINAL
        fields["warnings"] = _warnings(row)
        fields["links"] = {"self": here, **{name: f"{here}/{name}" for name in _PARTS}}
        return cls.model_validate(fields)


def _warnings(row: Job) -> list[dict[str, Any]]:
    """What was foreseen, then what was found; where the work found it as well, its own words count."""
    found = {warning["code"] for warning in row.warnings}
    return [*(notice for notice in row.advice if notice["code"] not in found), *row.warnings]


class JobEstimate(BaseModel):
    """What a job would take, roughly. What nothing is known of is null."""

    peak_memory_bytes: int | None
    quantized_bytes: int | None
    """Size of the int8 model."""
    seconds: float | None
    """From the start of the work to its end: as long as comparable jobs took here."""
    comparable_jobs: int
    """Finished jobs with the same preset that `seconds` follows from."""


class ValidationRead(BaseModel):
    """What would become of a job, without making it."""

    ok: bool
    problems: list[Problem]
    warnings: list[Notice]
    resolved_recipe: AnyRecipe
    estimate: JobEstimate | None
    """Null while the model is not ready."""
