"""Models and data sets, with what their inspection found."""

from typing import Any, Literal, NotRequired, TypedDict

from lowbit.preparations import ImagePreparation, Preparation
from lowbit.resources.envelope import Links, Notice, RawProblem


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
