"""What each target would make of a model, judged from its graph alone, with the recipe that jobs have by default."""

from collections import Counter
from pathlib import Path

import onnx

from app.contracts.inspection import TargetCoverage
from app.contracts.problem import quoted
from app.contracts.recipe import RecipeRequest
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.quantization.placement import Placement, place_for_tensorrt
from workers.targets import onnxruntime_cpu
from workers.targets.preparation import Prepared, prepare

_MOST_REASONS = 20


def coverage_of(model: onnx.ModelProto, folder: Path) -> dict[str, TargetCoverage]:
    """By target. Empty for a model that cannot be brought to the opset that int8 needs. folder: of external data."""
    try:
        prepared = prepare(model, RecipeRequest().resolve(), folder=folder)
    except OpsetNotConvertible:
        return {}
    placements = {
        onnxruntime_cpu.NAME: prepared.placement,
        "tensorrt": place_for_tensorrt(prepared.model),
    }
    return {target: _covered(prepared, placement) for target, placement in placements.items()}


def _covered(prepared: Prepared, placement: Placement) -> TargetCoverage:
    """An operator is one that a user may expect to see quantized."""
    nodes = {node.name: node for node in prepared.model.graph}
    weights = {nodes[site.node].inputs[site.weight_input] for site in placement.weights}
    reasons = Counter(quoted(d.reason) for d in placement.decisions if not d.quantized)
    return TargetCoverage(
        operators_quantized=sum(d.quantized for d in placement.decisions),
        operators_float=reasons.total(),
        parameters_quantized=sum(w.const_value.size for w in weights if w is not None and w.const_value is not None),
        reasons=dict(reasons.most_common(_MOST_REASONS)),
    )
