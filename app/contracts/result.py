"""What came out of a quantize job. Every figure says what it was measured on."""

from typing import Literal

from app.contracts.inspection import Notice
from app.contracts.model import Contract, Many
from app.contracts.recipes.recipe import AnyRecipe

Interval = tuple[float, float]
"""A 95 % confidence interval: (low, high)."""

Outcome = Literal["objective_met", "objective_unmet", "no_objective"]


class Latency(Contract):
    """Milliseconds for one call of the model, over the rounds of one run."""

    p50: float
    p90: float
    p99: float
    mean: float
    std: float


class BatchBenchmark(Contract):
    batch_size: int
    latency_ms: Latency
    speedup: float
    """Median latency of the float model over this one's, both from the same interleaved run."""
    rounds: int


class OutputMetrics(Contract):
    """One float output of one variant against the float model's."""

    name: str
    sqnr_db: float | None = None
    """Null when all that was compared is equal to the last bit, and when nothing was."""
    worst_channel_db: float | None = None
    """Of the worst entry along its shorter axis, for outputs of three and more axes."""
    values: int = 0
    """Of the float model's answers, over all samples."""
    nonfinite: int = 0
    """Values of the float model that are NaN or infinite: they are not compared."""
    lost: int = 0
    """Values that are NaN or infinite in this variant alone."""
    misshapen: int = 0
    """Samples answered in another shape than the float model's, which are not compared."""


class Metrics(Contract):
    """One variant's figures. `null` means not measured, never zero."""

    size_bytes: int
    accuracy: float | None = None
    accuracy_ci95: Interval | None = None
    accuracy_delta: float | None = None
    """Accuracy minus the float model's, on the same samples."""
    accuracy_delta_ci95: Interval | None = None
    agreement: float | None = None
    """Share of predictions whose top-1 class equals the float model's."""
    agreement_ci95: Interval | None = None
    sqnr_db: float | None = None
    """Of the first float output against the float model's; null when they are equal to the last bit."""
    outputs: Many[OutputMetrics] = ()
    """All float outputs, in the model's order."""
    samples: int = 0
    latency_ms: Latency | None = None
    """At the first batch size that was asked for."""
    speedup: float | None = None
    throughput_per_s: float | None = None
    benchmark: Many[BatchBenchmark] = ()


class LayerFigures(Contract):
    """How one quantized layer of one candidate is, apart from all others: its inputs come from the float model."""

    input: str
    """The tensor that it multiplies."""
    input_range: tuple[float, float]
    range_method: str
    """How the range was found, or what the tensor went through."""
    scheme: str
    rounding: str
    smoothquant_alpha: float | None = None
    bias_corrected: bool = False
    weight_sqnr_db: float | None = None
    """Null when the weight is exact."""
    input_sqnr_db: float | None = None
    output_sqnr_db: float | None = None
    clip_fraction: float | None = None
    """Share of input values outside of the range."""
    sensitivity_db: float | None = None
    """The model's output, when of all tensors only this layer's input is rounded, over its full range: measured before
    any smoothing."""


class LayerReport(Contract):
    """What became of one operator that could have been quantized."""

    node: str
    op_type: str
    quantized: bool
    reason: str
    """Why it was quantized or left in float."""
    figures: LayerFigures | None = None
    """For layers that multiply by an integer weight. What was not measured is null."""


class VariantOutcome(Contract):
    """One candidate as the job's process hands it over; `key` is unique within the job."""

    key: str
    role: Literal["baseline", "candidate"]
    label: str
    calibration_method: str | None = None
    percentile: float | None = None
    metrics: Metrics
    admissible: bool
    """True when the objective's accuracy floor is met, or none was set."""
    layers: Many[LayerReport] = ()


class OutputFile(Contract):
    """A file that the job's process left in its output folder."""

    path: str
    """Relative to the output folder."""
    kind: Literal["model", "model_data", "report"]
    """`model_data`: the weights of a model of more than 2 GB, which the model names and looks for beside itself."""
    media_type: Literal["application/octet-stream", "application/json"]
    """Served as it stands here, so never a type that a browser would run."""
    variant_key: str | None = None


class Environment(Contract):
    """The conditions of every figure of a job."""

    runtime: str
    runtime_version: str
    cpu: str
    cpu_has_vnni: bool
    threads: int
    calibrated_by: str | None = None
    """What ran the float model over the calibration data: null for methods without calibration."""
    python: str
    lowbit: str


class QuantizeOutcome(Contract):
    """All that a finished quantize job leaves behind, except the bytes of its files."""

    outcome: Outcome
    verdict: str
    """One plain sentence."""
    best: str
    """Key of the variant that was chosen."""
    pareto: Many[str]
    """Keys of the variants that no other beats in accuracy (else agreement), latency and size together."""
    variants: Many[VariantOutcome]
    files: Many[OutputFile]
    layers: Many[LayerReport]
    """Of the chosen candidate."""
    recipe: AnyRecipe
    environment: Environment
    warnings: Many[Notice]


class VariantMetrics(Metrics):
    """Metrics with the variant they belong to."""

    variant_id: str
    label: str


class JobResult(Contract):
    """The `result` of a succeeded job."""

    outcome: Outcome
    verdict: str
    best_variant_id: str
    baseline: VariantMetrics
    best: VariantMetrics
    pareto: Many[str]
    """Variant ids."""
    layers_quantized: int
    layers_float: int
    environment: Environment
