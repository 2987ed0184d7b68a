"""What a worker found in an upload."""

from pydantic import Field

from app.contracts.codes import ProblemCode
from app.contracts.formats import DatasetFormat, ModelFormat
from app.contracts.model import Contract, Many
from app.contracts.preparation import ImagePreparation, Preparation

PreviewValue = str | int | float | bool | None | tuple[int | float | bool, ...]

Dimension = int | str
"""A fixed extent, or the name of a symbolic one ("batch")."""


class TensorSpec(Contract):
    name: str
    dtype: str
    """numpy's name of the element type: float32, int64, ..."""
    shape: Many[Dimension]


class TokenizerInspection(Contract):
    """The tokenizer that came with the model."""

    vocabulary: int
    max_length: int | None
    """In tokens; null where the model does not limit it."""
    pads: bool


class TargetCoverage(Contract):
    """What a target would quantize, judged from the graph alone with the default recipe."""

    operators_quantized: int
    operators_float: int
    parameters_quantized: int
    """Elements of weights that would become integers."""
    reasons: dict[str, int]
    """Why the others stay in float, with the number of operators."""


class Estimate(Contract):
    """What a job with the default recipe would need, roughly: from sizes and counts, nothing was run."""

    peak_memory_bytes: int
    quantized_bytes: int
    """Size of the int8 model."""


class ModelInspection(Contract):
    format: ModelFormat = "onnx"
    task: str | None = None
    """What a transformers checkpoint does: text-classification, token-classification, ..."""
    classes: Many[str] | None = None
    """Their names in the order of the outputs, where the model says them."""
    tokenizer: TokenizerInspection | None = None
    image_preparation: ImagePreparation | None = None
    """What the model's own preprocessor configuration asks for."""
    inputs: Many[TensorSpec]
    outputs: Many[TensorSpec]
    opset: int
    ir_version: int
    producer: str
    op_counts: dict[str, int]
    parameters: int
    """Number of elements in all initializers and constants."""
    multiplications_per_sample: int | None = None
    """In convolutions, products of matrices and recurrences; open extents count as 224 for images and 128 elsewhere.
    Null where shapes do not tell it."""
    already_quantized: bool
    time_first: Many[str] = ()
    """Inputs whose first axis recurrent operators take for time, so that it counts no samples."""
    parameters_by_dtype: dict[str, int] = Field(default_factory=dict)
    coverage: dict[str, TargetCoverage] = Field(default_factory=dict)
    """By target."""
    estimate: Estimate | None = None


class ColumnInspection(Contract):
    """One array of a data set. Statistics are over finite values; they are null for an empty, boolean or text column.

    The dtype of text is "string" and that of images "image"; their shape is only the number of samples.
    """

    name: str
    dtype: str
    shape: Many[int]
    """With the number of samples first."""
    min: float | None
    max: float | None
    mean: float | None


class LeftOut(Contract):
    """A column that can be no input as it is stored. It stops only a model that has an input of this name."""

    name: str
    code: ProblemCode
    """Of the problem that such a model's job is refused with."""
    detail: str
    hint: str | None = None


class DatasetInspection(Contract):
    format: DatasetFormat
    num_samples: int
    columns: Many[ColumnInspection]
    has_labels: bool
    """True when samples have classes: a column named `labels`, or what the preparation declares. No model input."""
    preparation: Preparation | None = None
    """As declared, or as it was found to be meant; null where columns are the model's inputs already."""
    preview: Many[dict[str, PreviewValue]] = ()
    """The first samples, shortened."""
    sample_digest: str | None = None
    """Of the first samples' content, to recognise data that calibrates and evaluates at once."""
    labels_one_hot: bool = False
    """True where each row of `labels` is 0 but for a single 1."""
    left_out: Many[LeftOut] = ()
    """Further columns of the file, which are not among `columns`."""


class Notice(Contract):
    """Something a user should know that stops nothing."""

    code: str
    detail: str
