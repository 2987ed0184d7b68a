"""The service's objects as they travel: plain dictionaries with known keys. A newer service may send more keys."""

from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

from lowbit.preparations import ImagePreparation as ImagePreparation  # noqa: PLC0414  named here too
from lowbit.preparations import Preparation as Preparation  # noqa: PLC0414  named here too
from lowbit.preparations import TextPreparation as TextPreparation  # noqa: PLC0414  named here too

Resource = TypeVar("Resource")

Purpose = Literal["model", "dataset"]
RawProblem = dict[str, Any]
Links = dict[str, str]


class Page(TypedDict, Generic[Resource]):
    """A piece of a list. The next one starts `after=page["last_id"]`."""

    object: Literal["list"]
    data: list[Resource]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Notice(TypedDict):
    code: str
    detail: str


ModelFormat = Literal["onnx", "archive", "transformers", "torch_export"]
"""`archive` until the inspection has found what is in it."""
DatasetFormat = Literal["npz", "safetensors", "parquet", "jsonl", "csv", "images"]


class File(TypedDict):
    id: str
    filename: str
    purpose: Purpose
    format: str
    bytes: int
    sha256: str
    created_at: str
    links: Links


class Tensor(TypedDict):
    name: str
    dtype: str
    shape: list[int | str]


class Tokenizer(TypedDict):
    """The one that came with the model."""

    vocabulary: int
    max_length: int | None
    pads: bool


class TargetCoverage(TypedDict):
    """What a target would quantize with the default recipe, judged from the graph alone."""

    operators_quantized: int
    operators_float: int
    parameters_quantized: int
    reasons: dict[str, int]
    """Why the others stay in float, with the number of operators."""


class Estimate(TypedDict):
    """What a job with the default recipe would need, roughly."""

    peak_memory_bytes: int
    quantized_bytes: int


class Inspectable(TypedDict):
    """What models and data sets have in common."""

    id: str
    name: str
    file_id: str
    format: str
    bytes: int
    sha256: str
    status: Literal["inspecting", "ready", "rejected"]
    warnings: list[Notice]
    problem: RawProblem | None
    created_at: str
    links: Links


class Model(Inspectable):
    task: NotRequired[str | None]
    """What a transformers checkpoint does: text-classification, ..."""
    classes: NotRequired[list[str] | None]
    tokenizer: NotRequired[Tokenizer | None]
    image_preparation: NotRequired[ImagePreparation | None]
    """What the model's own preprocessor configuration asks for."""
    coverage: NotRequired[dict[str, TargetCoverage] | None]
    """By target."""
    estimate: NotRequired[Estimate | None]
    multiplications_per_sample: NotRequired[int | None]
    """Open extents count as 224 for images and 128 elsewhere."""
    parameters_by_dtype: NotRequired[dict[str, int] | None]
    inputs: list[Tensor] | None
    outputs: list[Tensor] | None
    opset: int | None
    op_counts: dict[str, int] | None
    parameters: int | None
    already_quantized: bool | None


class Column(TypedDict):
    name: str
    dtype: str
    shape: list[int]
    min: float | None
    max: float | None
    mean: float | None


class Dataset(Inspectable):
    num_samples: int | None
    columns: list[Column] | None
    has_labels: bool | None
    preparation: NotRequired[Preparation | None]
    """As declared, or as it was found to be meant; None where columns are the model's inputs already."""
    preview: NotRequired[list[dict[str, Any]] | None]
    """The first samples, shortened."""
    sample_digest: NotRequired[str | None]


class Latency(TypedDict):
    p50: float
    p90: float
    p99: float
    mean: float
    std: float


class Metrics(TypedDict):
    """One variant's figures. None means not measured, never zero."""

    size_bytes: int
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    accuracy_delta: float | None
    accuracy_delta_ci95: tuple[float, float] | None
    agreement: float | None
    agreement_ci95: tuple[float, float] | None
    sqnr_db: float | None
    samples: int
    latency_ms: Latency | None
    speedup: float | None
    throughput_per_s: float | None
    benchmark: list[dict[str, Any]]


class VariantMetrics(Metrics):
    variant_id: str
    label: str


class JobResult(TypedDict):
    outcome: Literal["objective_met", "objective_unmet", "no_objective"]
    verdict: str
    best_variant_id: str
    baseline: VariantMetrics
    best: VariantMetrics
    pareto: list[str]
    layers_quantized: int
    layers_float: int
    environment: dict[str, Any]


class Progress(TypedDict):
    fraction: float | None
    completed: int | None
    total: int | None
    unit: str | None


class StageState(TypedDict):
    name: str
    status: Literal["pending", "running", "succeeded", "failed"]
    duration_s: float | None


class Artifact(TypedDict):
    id: str
    job_id: str
    variant_id: str | None
    kind: Literal["model", "model_data", "report"]
    filename: str
    media_type: str
    bytes: int
    sha256: str
    created_at: str
    links: Links


class Variant(TypedDict):
    id: str
    job_id: str
    role: Literal["baseline", "candidate"]
    label: str
    calibration_method: str | None
    percentile: float | None
    metrics: Metrics
    admissible: bool
    best: bool
    artifacts: list[Artifact]
    links: Links


class LayerFigures(TypedDict):
    """How one quantized layer of one candidate is by itself. None means not measured."""

    input: str
    input_range: tuple[float, float]
    range_method: str
    scheme: str
    rounding: str
    smoothquant_alpha: float | None
    bias_corrected: bool
    weight_sqnr_db: float | None
    input_sqnr_db: float | None
    output_sqnr_db: float | None
    clip_fraction: float | None
    sensitivity_db: float | None


class Layer(TypedDict):
    """What became of one operator that could have been quantized, and why."""

    node: str
    op_type: str
    quantized: bool
    reason: str
    figures: LayerFigures | None


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


class RecipePreset(TypedDict):
    name: str
    summary: str
    recipe: dict[str, Any]


class Tenant(TypedDict):
    id: str
    name: str
    weight: float
    disabled_at: str | None
    max_stored_bytes: int | None
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_open_uploads: int | None
    max_requests_per_minute: int | None
    created_at: str
    usage: NotRequired[dict[str, int]]
    quotas: NotRequired[dict[str, int | None]]


class Token(TypedDict):
    """A key's facts, without the key."""

    id: str
    tenant_id: str
    name: str
    scopes: list[str]
    created_at: str
    created_by: str | None
    expires_at: str | None
    last_used_at: str | None


class MadeToken(Token):
    key: str | None
    notice: str | None


class AuditEntry(TypedDict):
    id: str
    tenant_id: str
    key_id: str | None
    action: str
    subject: str | None
    request_id: str | None
    detail: dict[str, Any]
    created_at: str


class GarbageTotal(TypedDict):
    kind: str
    count: int
    bytes: int


class Garbage(TypedDict):
    removed: bool
    totals: list[GarbageTotal]
    items: list[dict[str, Any]]
