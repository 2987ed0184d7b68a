"""Which tensors of a graph become integers: rules per target, and the decisions they lead to, each with its reason."""

from workers.quantization.placement.onnxruntime_cpu import place_for_onnxruntime_cpu
from workers.quantization.placement.plan import Exclusions, LayerDecision, Pair, Placement, Reader, Schemes
from workers.quantization.placement.rules import TENSORRT, UINT8_BY_INT8, TensorRtRules
from workers.quantization.placement.tensorrt import place_for_tensorrt

__all__ = [
    "TENSORRT",
    "UINT8_BY_INT8",
    "Exclusions",
    "LayerDecision",
    "Pair",
    "Placement",
    "Reader",
    "Schemes",
    "TensorRtRules",
    "place_for_onnxruntime_cpu",
    "place_for_tensorrt",
]
