"""Layers as the service sends them."""

from typing import Any

from lowbit.resources import Layer, LayerFigures

FIGURES: LayerFigures = {
    "input": "hidden",
    "input_range": [-1.0, 3.0],  # type: ignore[typeddict-item]  # JSON has no tuples
    "range_method": "percentile 99.99",
    "scheme": "uint8 per_tensor x int8 per_axis",
    "rounding": "gptq",
    "smoothquant_alpha": None,
    "bias_corrected": True,
    "weight_sqnr_db": 41.0,
    "input_sqnr_db": 38.5,
    "output_sqnr_db": 36.25,
    "clip_fraction": 0.0001,
    "sensitivity_db": None,
}


def layer(node: str, **changes: Any) -> Layer:
    quantized: Layer = {
        "node": node,
        "op_type": "MatMul",
        "quantized": True,
        "reason": "int8 weight, uint8 input.",
        "figures": FIGURES,
    }
    return {**quantized, **changes}  # type: ignore[typeddict-item]  # the test names fields that exist
