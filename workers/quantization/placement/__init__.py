"""Which tensors of a graph become integers: rules per target, and the decisions they lead to, each with its reason."""

from workers.quantization.placement.place import place
from workers.quantization.placement.plan import LayerDecision, NodeNotInModel, Pair, Placement, Reader
from workers.quantization.placement.rules import ONNXRUNTIME_CPU, TENSORRT, PlacementRules

__all__ = [
    "ONNXRUNTIME_CPU",
    "TENSORRT",
    "LayerDecision",
    "NodeNotInModel",
    "Pair",
    "Placement",
    "PlacementRules",
    "Reader",
    "place",
]
