"""What a worker found in an upload."""

from typing import Literal

from app.contracts.model import Contract

Dimension = int | str
"""A fixed extent, or the name of a symbolic one ("batch")."""


class TensorSpec(Contract):
    name: str
    dtype: str
    """numpy's name of the element type: float32, int64, ..."""
    shape: tuple[Dimension, ...]


class ModelInspection(Contract):
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    ir_version: int
    producer: str
    op_counts: dict[str, int]
    parameters: int
    """Number of elements in all initializers and constants."""
    already_quantized: bool


class ColumnInspection(Contract):
    """One array of a data set. Statistics are over finite values; they are null for an empty or boolean column."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """With the number of samples first."""
    min: float | None
    max: float | None
    mean: float | None


class DatasetInspection(Contract):
    format: Literal["npz"]
    num_samples: int
    columns: tuple[ColumnInspection, ...]
    has_labels: bool
    """True when a column named `labels` is present; it is not a model input."""


class Notice(Contract):
    """Something a user should know that stops nothing."""

    code: str
    detail: str
