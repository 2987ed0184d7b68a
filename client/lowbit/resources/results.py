"""What comes of a job: figures, variants, layers, files."""

from typing import Any, Literal, TypedDict

from lowbit.resources.envelope import Links


class Latency(TypedDict):
    p50: float
    p90: float
    p99: float
    mean: float
    std: float


class OutputMetrics(TypedDict):
    """One float output of one variant against the float model's."""

    name: str
    sqnr_db: float | None
    worst_channel_db: float | None
    values: int
    nonfinite: int
    lost: int
    misshapen: int


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
    outputs: list[OutputMetrics]
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
