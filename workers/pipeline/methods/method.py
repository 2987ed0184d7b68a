"""What a method makes."""

from dataclasses import dataclass

import onnx_ir as ir

from app.contracts.result import LayerReport


@dataclass(frozen=True)
class Draft:
    """A model and how it came about, before it is a file."""

    key: str
    label: str
    method: str
    """What gave the ranges, or made the model without any."""
    dtype: str
    """What the weights became."""
    percentile: float | None
    model: ir.Model
    layers: tuple[LayerReport, ...]
