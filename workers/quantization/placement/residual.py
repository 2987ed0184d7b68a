"""Residual additions: which of the two branches is the identity.

A layer fuses the addition into its own epilogue while its result is still in 32 bits. So that branch must reach the Add
unquantized, and only the other one, the identity, is given in int8.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from workers.quantization.graph.constants import constant_of
from workers.quantization.graph.weighted_operators import LeftInFloat, is_standard

_SHARED = LeftInFloat("Other operators read the layer's result too, so the addition cannot be fused into that layer.")
_BROADCAST = LeftInFloat("Its inputs differ in shape, so the addition cannot be fused into the layer before it.")


@dataclass(frozen=True)
class Residual:
    """An addition that a layer can absorb."""

    layer: str
    """The weighted operator whose epilogue the addition becomes."""
    identity_input: int


def residual_of(add: ir.Node, layers: AbstractSet[str], depth: Mapping[str, int]) -> Residual | LeftInFloat | None:
    """How an Add of two computed tensors is fused, or why not; None when neither comes from one of `layers`.

    When both do (a projection on the shortcut), the deeper branch is the main one.
    """
    if add.op_type != "Add" or not is_standard(add) or any(constant_of(v) is not None for v in add.inputs):
        return None
    found = [(layer, i) for i, v in enumerate(add.inputs) if (layer := _layer_behind(v, layers)) is not None]
    if not found:
        return None
    private = [(layer, i) for layer, i in found if _is_private(add.inputs[i], layer)]
    if not private:
        return _SHARED
    if _known_to_differ(add.inputs[0], add.inputs[1]):
        return _BROADCAST
    layer, main = max(private, key=lambda branch: depth[branch[0].name or ""])
    return Residual(layer.name or "", identity_input=1 - main)


def depths(graph: ir.Graph) -> dict[str, int]:
    """How many operators the longest path from an input to each node has."""
    depth: dict[str, int] = {}
    for node in graph:
        producers = [v.producer() for v in node.inputs if v is not None]
        depth[node.name or ""] = 1 + max((depth.get(p.name or "", 0) for p in producers if p is not None), default=0)
    return depth


def _layer_behind(value: ir.Value | None, layers: AbstractSet[str]) -> ir.Node | None:
    """The layer that computes a value, looking through what the layer absorbs: a constant bias, a normalization."""
    node = value.producer() if value is not None else None
    if node is None or not is_standard(node):
        return None
    if node.name in layers:
        return node
    before = _absorbed_input(node)
    return _layer_behind(before, layers) if before is not None else None


def _absorbed_input(node: ir.Node) -> ir.Value | None:
    if node.op_type == "BatchNormalization":
        return node.inputs[0]
    if node.op_type != "Add":
        return None
    computed = [v for v in node.inputs if constant_of(v) is None]
    return computed[0] if len(computed) == 1 else None


def _is_private(value: ir.Value | None, layer: ir.Node) -> bool:
    """Nobody but the Add sees what the layer computes, at any point on the way."""
    while value is not None:
        if len(value.uses()) != 1 or value.is_graph_output():
            return False
        node = value.producer()
        if node is None or node is layer:
            return True
        value = _absorbed_input(node)
    return False


def _known_to_differ(one: ir.Value | None, other: ir.Value | None) -> bool:
    if one is None or other is None or one.shape is None or other.shape is None:
        return False
    if len(one.shape) != len(other.shape):
        return True
    return any(
        isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(one.shape, other.shape, strict=True)
    )
