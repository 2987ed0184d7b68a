"""What the API says about a model."""

from typing import Literal

from app.contracts.formats import ModelFormat, UploadedModelFormat
from app.contracts.inspection import Estimate, TargetCoverage, TensorSpec, TokenizerInspection
from app.contracts.preparation import ImagePreparation
from app.inspected.schemas import InspectedRead


class ModelRead(InspectedRead):
    """A model. The fields that inspection fills in are null until its status is `ready`."""

    object: Literal["model"] = "model"
    format: UploadedModelFormat | ModelFormat
    """Of the upload; once `ready`, that of the model in it."""
    task: str | None = None
    classes: tuple[str, ...] | None = None
    tokenizer: TokenizerInspection | None = None
    image_preparation: ImagePreparation | None = None
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    opset: int | None = None
    ir_version: int | None = None
    producer: str | None = None
    op_counts: dict[str, int] | None = None
    parameters: int | None = None
    parameters_by_dtype: dict[str, int] | None = None
    already_quantized: bool | None = None
    coverage: dict[str, TargetCoverage] | None = None
    estimate: Estimate | None = None
