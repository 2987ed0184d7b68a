"""The weights of a placement by the tensors that they multiply."""

from collections.abc import Mapping

import onnx_ir as ir

from workers.quantization.graph.nodes import nodes_by_name
from workers.quantization.graph.weighted_operators import WeightSite
from workers.quantization.placement import Placement


def multiplied(placement: Placement) -> tuple[WeightSite, ...]:
    """Sites that multiply by their weight, which a table lookup does not."""
    return tuple(site for site in placement.weights if site.op_type != "Gather")


def tensors_of(graph: ir.Graph, placement: Placement) -> Mapping[str, tuple[WeightSite, ...]]:
    """Quantized tensors and the weights that multiply them."""
    nodes = nodes_by_name(graph)
    found: dict[str, tuple[WeightSite, ...]] = {}
    for site in multiplied(placement):
        tensor = nodes[site.node].inputs[0].name or ""  # type: ignore[union-attr]  # a site has an input
        found[tensor] = (*found.get(tensor, ()), site)
    return found
