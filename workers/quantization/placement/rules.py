"""The placement rules as data: what differs between targets, and what a recipe may switch.

`onnxruntime_cpu` and `tensorrt`, beside this file, are the functions that read them.
"""

from dataclasses import dataclass
from typing import Literal

from workers.quantization.scheme import UINT8_ACTIVATIONS, Scheme, weight_scheme

# TensorRT multiplies int8 by int8 and knows no zero point: one scale, both signs.
INT8_ACTIVATIONS = Scheme("int8", "per_tensor", -128, 127, "absmax_over_q_max")


@dataclass(frozen=True)
class PlacementRules:
    """What a target wants quantized."""

    target: Literal["onnxruntime-cpu", "tensorrt"]
    activations: Scheme
    products_of_activations: bool
    """Quantize both inputs of a MatMul of two computed tensors: the two products of an attention block."""
    residual_identity: bool
    """Quantize the branch of a residual Add that no weighted operator produces."""
    vnni: bool = False
    """Whether the processor sums products of bytes in 32 bits. It decides a default only: see `default_weights`."""

    @property
    def default_weights(self) -> Scheme:
        """One scale per channel; 7 bits where sums of two products may saturate: in ONNX Runtime without VNNI."""
        return weight_scheme(reduce_range=self.target == "onnxruntime-cpu" and not self.vnni, per_channel=True)


ONNXRUNTIME_CPU = PlacementRules(
    "onnxruntime-cpu", UINT8_ACTIVATIONS, products_of_activations=False, residual_identity=False
)

TENSORRT = PlacementRules("tensorrt", INT8_ACTIVATIONS, products_of_activations=True, residual_identity=True)
