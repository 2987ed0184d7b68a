"""What each target would make of a model, judged from its graph alone, with the recipe that jobs have by default."""

from collections import Counter
from pathlib import Path

import onnx

from app.contracts.inspection import TargetCoverage
from app.contracts.problem import quoted
from app.contracts.recipes.request import RecipeRequest
from workers.protocol.gathering import graph_wish
from workers.quantization.graph.opset import OpsetNotConvertible
from workers.quantization.placement import place_for_tensorrt
from workers.targets.known import TARGETS
from workers.targets.preparation import Prepared

_MOST_REASONS = 20


def coverage_of(model: onnx.ModelProto, folder: Path) -> dict[str, TargetCoverage]:
    """By target. Empty for a model that cannot be brought to the opset that int8 needs. folder: of external data."""
    recipe = RecipeRequest().resolve()
    assert recipe.method == "static"
    try:
        found = {
            target.name: target.prepare(
                model, folder, graph_wish(recipe), target.schemes(per_channel=recipe.per_channel)
            )
            for target in TARGETS
        }
    except OpsetNotConvertible:
        return {}
    graph = found[TARGETS[0].name].model
    found["tensorrt"] = Prepared(graph, place_for_tensorrt(graph))
    return {name: _covered(prepared) for name, prepared in found.items()}


def _covered(prepared: Prepared) -> TargetCoverage:
    """An operator is one that a user may expect to see quantized."""
    placement = prepared.placement
    weights = {prepared.nodes[site.node].inputs[site.weight_input] for site in placement.weights}
    reasons = Counter(quoted(d.reason) for d in placement.decisions if not d.quantized)
    return TargetCoverage(
        operators_quantized=sum(d.quantized for d in placement.decisions),
        operators_float=reasons.total(),
        parameters_quantized=sum(w.const_value.size for w in weights if w is not None and w.const_value is not None),
        reasons=dict(reasons.most_common(_MOST_REASONS)),
    )
