"""Which operators of a graph compute in float16, and why the others do not."""

from collections.abc import Collection

import onnx_ir as ir

from workers.quantization.half.hazards import hazard_of
from workers.quantization.half.phases import phases
from workers.quantization.half.sizes import Sizes
from workers.quantization.half.slots import HalfSlots, KeptInFloat32, half_slots, is_float32

_NOTHING = HalfSlots(frozenset(), frozenset())


def half_plan(
    model: ir.Model, *, op_types_to_keep: Collection[str], nodes_to_keep: Collection[str]
) -> dict[ir.Node, HalfSlots | KeptInFloat32]:
    """For each node. requires: types are known; constants are initializers."""
    sizes = Sizes(model.graph)
    periodic = phases(model.graph)

    def decision(node: ir.Node) -> HalfSlots | KeptInFloat32:
        slots = half_slots(node, model.opset_imports)
        too_large_or_small = sizes.reason_for_float32(
            node, slots.inputs if isinstance(slots, HalfSlots) else frozenset()
        )
        if not any(is_float32(v) for v in (*node.inputs, *node.outputs)):
            return _NOTHING
        if node.name in nodes_to_keep:
            return KeptInFloat32("It was asked to stay float32.")
        if node.op_type in op_types_to_keep:
            return KeptInFloat32(f"{node.op_type} stays float32.")
        if node in periodic:
            return KeptInFloat32("It leads to a Sin or Cos of positions or times, where the error of float16 is large.")
        if too_large_or_small is not None:
            return KeptInFloat32(too_large_or_small)
        return hazard_of(node) or slots

    return {node: decision(node) for node in model.graph}
