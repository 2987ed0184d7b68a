"""Inspections on paper, with only what a test is about."""

from typing import Any

from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection, TensorSpec


def model(*inputs: Any, outputs: Any = (), **fields: Any) -> ModelInspection:
    """Inputs and outputs are (name, dtype, shape)."""
    plain: dict[str, Any] = {
        "opset": 17, "ir_version": 8, "producer": "", "op_counts": {}, "parameters": 0, "already_quantized": False
    }  # fmt: skip
    return ModelInspection(inputs=_specs(inputs), outputs=_specs(outputs), **(plain | fields))


def data(*columns: Any, **fields: Any) -> DatasetInspection:
    """Columns are (name, dtype, shape), perhaps with (min, max)."""
    found = tuple(_column(*column) for column in columns)
    plain: dict[str, Any] = {"format": "npz", "num_samples": found[0].shape[0] if found else 100, "has_labels": False}
    return DatasetInspection(columns=found, **(plain | fields))


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype, shape in tensors)


def _column(name: str, dtype: str, shape: Any, values: tuple[float, float] | None = None) -> ColumnInspection:
    low, high = values or (None, None)
    return ColumnInspection(name=name, dtype=dtype, shape=shape, min=low, max=high, mean=low)
