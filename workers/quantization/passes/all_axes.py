"""Write Pad and Resize for all axes of their input, where they name some.

    Pad(x, [1, 1, 1, 1], axes=[2, 3])  ->  Pad(x, [0, 0, 1, 1, 0, 0, 1, 1])
    Resize(x, scales=[2, 2], axes=[2, 3])  ->  Resize(x, scales=[1, 1, 2, 2])

Opset 18 lets both name axes. ONNX Runtime, where it brings integer convolutions and what lies between them into
another layout, turns the list of pads or scales as if it had an entry for each axis, and then fails on its own graph.

Left as it is: axes or scales that are computed, an unknown number of axes, a Resize that keeps the aspect ratio or
crops (its other axes would take part).

requires: constants are initializers
ensures: outputs equal to the last bit; names unchanged
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common

from workers.quantization.graph.constants import add_constant, constant_of

Array = npt.NDArray[np.generic]


def all_axes(model: ir.Model) -> list[str]:
    """Change `model` in place. Returns the names of the operators that changed."""
    named = [node for node in model.graph if node.domain == "" and _names_axes(node)]
    if any(_rank(node) is None for node in named):
        common.ShapeInferencePass()(model)
    return [node.name or "" for node in named if _written_out(model.graph, node)]


def _names_axes(node: ir.Node) -> bool:
    if node.op_type == "Pad":
        return len(node.inputs) > 3 and node.inputs[3] is not None
    return node.op_type == "Resize" and "axes" in node.attributes


def _rank(node: ir.Node) -> int | None:
    value = node.inputs[0]
    return None if value is None or value.shape is None else len(value.shape)


def _written_out(graph: ir.Graph, node: ir.Node) -> bool:
    rank = _rank(node)
    if rank is None:
        return False
    return _pad(graph, node, rank) if node.op_type == "Pad" else _resize(graph, node, rank)


def _pad(graph: ir.Graph, node: ir.Node, rank: int) -> bool:
    named = constant_of(node.inputs[3])
    if named is None:
        return False
    axes = _from_front(named, rank)
    _spread(graph, node, 1, (*axes, *(axis + rank for axis in axes)), np.zeros(2 * rank, np.int64))
    node.resize_inputs(3 if node.inputs[2] is not None else 2)
    return True


def _resize(graph: ir.Graph, node: ir.Node, rank: int) -> bool:
    text = node.attributes.get_string
    crops = text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    if crops or text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return False
    axes = _from_front(np.asarray(node.attributes.get_ints("axes")), rank)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        _spread(graph, node, 2, axes, np.ones(rank, np.float32))
    else:
        _spread_sizes(graph, node, axes)
    node.attributes.pop("axes")
    return True


def _spread(graph: ir.Graph, node: ir.Node, index: int, places: Sequence[int], neutral: Array) -> None:
    """Put the entries of an input where they belong among neutral ones."""
    entries = constant_of(node.inputs[index])
    if entries is not None:
        whole = neutral.copy()
        whole[list(places)] = entries
        node.replace_input_with(index, add_constant(graph, f"{node.name}_all_axes", whole))
        return
    start = add_constant(graph, f"{node.name}_neutral", neutral)
    _scatter(graph, node, index, start, places)


def _spread_sizes(graph: ir.Graph, node: ir.Node, axes: Sequence[int]) -> None:
    """The other axes keep the extents that the input has when the model runs."""
    shape = ir.node("Shape", [node.inputs[0]], name=f"{node.name}_shape")
    shape.outputs[0].name = f"{node.name}_extents"
    graph.insert_before(node, shape)
    _scatter(graph, node, 3, shape.outputs[0], axes)


def _scatter(graph: ir.Graph, node: ir.Node, index: int, start: ir.Value, places: Sequence[int]) -> None:
    where = add_constant(graph, f"{node.name}_axes", np.array(places, np.int64))
    scatter = ir.node("ScatterElements", [start, where, node.inputs[index]], name=f"{node.name}_spread")
    scatter.outputs[0].name = f"{node.name}_all_axes"
    graph.insert_before(node, scatter)
    node.replace_input_with(index, scatter.outputs[0])


def _from_front(axes: Array, rank: int) -> tuple[int, ...]:
    return tuple(int(axis) % rank for axis in axes.reshape(-1))
