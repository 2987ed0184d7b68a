"""The one entrance to placement: a graph and a target's rules in, decisions out."""

from collections.abc import Collection

import onnx_ir as ir

from workers.quantization.placement.onnxruntime_cpu import place_for_onnxruntime_cpu
from workers.quantization.placement.plan import Exclusions, Placement
from workers.quantization.placement.rules import ONNXRUNTIME_CPU, PlacementRules
from workers.quantization.placement.tensorrt import place_for_tensorrt


def place(
    model: ir.Model,
    rules: PlacementRules = ONNXRUNTIME_CPU,
    *,
    op_types_to_exclude: Collection[str] = (),
    nodes_to_exclude: Collection[str] = (),
) -> Placement:
    """Decide for every operator. The model is read only. Raises NodeNotInModel."""
    exclusions = Exclusions.known_to(model, op_types_to_exclude, nodes_to_exclude)
    if rules.target == "tensorrt":
        return place_for_tensorrt(model.graph, rules, exclusions)
    return place_for_onnxruntime_cpu(model.graph, exclusions)
