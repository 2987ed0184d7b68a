"""What the API says about a model."""

from typing import Literal

from app.contracts.inspection import TensorSpec
from app.inspected.schemas import InspectedRead


class ModelRead(InspectedRead):
    """A model. The fields that inspection fills in are null until its status is `ready`."""

    object: Literal["model"] = "model"
    format: Literal["onnx"]
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    opset: int | None = None
    ir_version: int | None = None
    producer: str | None = None
    op_counts: dict[str, int] | None = None
    parameters: int | None = None
    already_quantized: bool | None = None
