"""Replace target shapes that are computed at run time by constants, where the result is the same for every input.

    Reshape(x, Concat(Shape(v)[0], Shape(v)[1], 12, 32))  ->  Reshape(x, [0, 0, 12, 32])

Exports of PyTorch work the target of every Reshape out again from the shapes of other tensors: a hundred small
operators in a text encoder of six layers. In a target, 0 keeps the extent of x on that axis.

Rules
1. A piece that is read from the shape of v on axis k becomes 0 where it stands for axis i of x, if both extents go by
   the same name or number in the inferred shapes.
2. One piece that cannot be told becomes -1, if no other is.

requires: `lift_constants` ran; names of extents in the shapes of inputs mean what they say
ensures: float outputs unchanged to 1e-6 relative (ONNX Runtime may fuse more); names of inputs and outputs unchanged
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from workers.quantization.graph.constants import add_constant, constant_of

_MOST_ROUNDS = 8  # each teaches the inference a few shapes more: one layer's depends on that of the layer before

Piece = int | tuple[ir.Value, int]
"""A number, or an axis of a value."""


def fold_reshape_targets(model: ir.Model) -> list[str]:
    """Change `model` in place. Returns the names of the operators whose target is constant now."""
    touched: list[str] = []
    if not any(node.op_type == "Reshape" and _pieces(node.inputs[1]) for node in model.graph):
        return touched  # inferred shapes would only make the file larger
    for _ in range(_MOST_ROUNDS):
        common.ShapeInferencePass()(model)
        found = [node for node in model.graph if _folded(model.graph, node)]
        if not found:
            break
        touched += [node.name or "" for node in found]
    if touched:
        common.RemoveUnusedNodesPass()(model)
    return touched


def _folded(graph: ir.Graph, node: ir.Node) -> bool:
    if node.op_type != "Reshape" or node.domain != "" or bool(node.attributes.get_int("allowzero", 0)):
        return False
    pieces = _pieces(node.inputs[1])
    if pieces is None or node.inputs[0] is None:
        return False
    target = [_constant_target(piece, index, node.inputs[0]) for index, piece in enumerate(pieces)]
    if target.count(None) > (0 if -1 in target else 1):
        return False
    extents = np.array([-1 if extent is None else extent for extent in target], np.int64)
    node.replace_input_with(1, add_constant(graph, f"{node.name}_target", extents))
    return True


def _pieces(target: ir.Value | None) -> list[Piece] | None:
    """What a computed target is made of; None for a constant, and where it cannot be followed."""
    concat = None if target is None else target.producer()
    if concat is None or concat.op_type != "Concat":
        return None
    pieces: list[Piece] = []
    for value in concat.inputs:
        constant = constant_of(value)
        if constant is not None:
            pieces += [int(extent) for extent in constant.reshape(-1)]
            continue
        piece = _axis_of_shape(value)
        if piece is None:
            return None
        pieces.append(piece)
    return pieces


def _axis_of_shape(value: ir.Value | None) -> tuple[ir.Value, int] | None:
    """Unsqueeze(Gather(Shape(v), k)) -> (v, k); the Gather may have an index of one axis instead."""
    node = None if value is None else value.producer()
    if node is not None and node.op_type == "Unsqueeze":
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Gather":
        return None
    index = constant_of(node.inputs[1])
    shape = None if node.inputs[0] is None else node.inputs[0].producer()
    if index is None or index.size != 1 or shape is None or shape.op_type != "Shape" or shape.attributes:
        return None
    source = shape.inputs[0]
    return None if source is None else (source, int(index.item()))


def _constant_target(piece: Piece, index: int, x: ir.Value) -> int | None:
    if isinstance(piece, int):
        return piece
    source, axis = piece
    extent = _extent(source, axis)
    if isinstance(extent, int):
        return extent
    return 0 if extent is not None and extent == _extent(x, index) else None


def _extent(value: ir.Value, axis: int) -> int | str | None:
    """A number, the name of a symbolic extent, or None when nothing is known."""
    if value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    extent = value.shape[axis]
    return extent if isinstance(extent, int) else extent.value
