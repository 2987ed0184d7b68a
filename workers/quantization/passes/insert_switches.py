"""Let every tensor of interest be rounded or not, run by run: to learn what each one costs at the model's output.

    x -> If(switch[i], DequantizeLinear(QuantizeLinear(x, scale[i], zero_point[i])), Identity(x))

One session then answers for all tensors and all ranges: switches, scales and zero points are inputs of the graph. What
is switched off costs a copy.

requires: opset >= 13; float32 tensors of the main graph; one type of integers for all pairs
ensures: with all switches off, outputs unchanged to 1e-5 relative (ONNX Runtime no longer fuses across a switch);
    names of existing values and nodes unchanged
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, free_value_name
from workers.quantization.placement import Pair

_CODES = {"int8": ir.DataType.INT8, "uint8": ir.DataType.UINT8}


@dataclass(frozen=True)
class SwitchInputs:
    """Names of the three inputs that were added, each of one entry per pair, in the order of the pairs."""

    switch: str
    """bool"""
    scale: str
    """float32"""
    zero_point: str
    """Of the integers that the pairs become, which all of them share."""


def insert_switches(model: ir.Model, pairs: Sequence[Pair]) -> SwitchInputs:
    """Change `model` in place: one switch for each pair, before the readers that the pair names."""
    graph = model.graph
    names = SwitchInputs(*(free_value_name(graph, f"lowbit_{word}") for word in ("switch", "scale", "zero_point")))
    kinds = (ir.DataType.BOOL, ir.DataType.FLOAT, _codes(pairs))
    inputs = [
        ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape([len(pairs)]))
        for name, kind in zip((names.switch, names.scale, names.zero_point), kinds, strict=True)
    ]
    graph.inputs.extend(inputs)
    values = {v.name: v for v in graph.inputs} | {v.name: v for node in graph for v in node.outputs}
    for index, pair in enumerate(pairs):
        _insert(graph, values[pair.tensor], pair, index, inputs)
    return names


def _codes(pairs: Sequence[Pair]) -> ir.DataType:
    """Of no pairs at all, whatever may be fed."""
    storages = {pair.scheme.storage for pair in pairs} or {"uint8"}
    (storage,) = storages
    return _CODES[storage]


def _insert(graph: ir.Graph, value: ir.Value, pair: Pair, index: int, inputs: list[ir.Value]) -> None:
    uses = [u for u in value.uses() if pair.readers is None or (u.node.name, u.idx) in pair.readers]
    at = add_constant(graph, f"lowbit_index_{index}", np.array(index, np.int64))
    picked = [ir.node("Gather", [source, at], {"axis": 0}, name=f"{source.name}_at_{index}") for source in inputs]
    switch, scale, zero_point = (node.outputs[0] for node in picked)
    chosen = ir.node(
        "If",
        [switch],
        {
            "then_branch": _branch(_rounding(value, scale, zero_point), f"lowbit_rounded_{index}"),
            "else_branch": _branch([ir.node("Identity", [value])], f"lowbit_kept_{index}"),
        },
        name=f"lowbit_switch_{index}",
    )
    added = [*picked, chosen]
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], added)
    else:
        graph.insert_after(producer, added)
    for use in uses:
        use.node.replace_input_with(use.idx, chosen.outputs[0])


def _rounding(value: ir.Value, scale: ir.Value, zero_point: ir.Value) -> list[ir.Node]:
    quantized = ir.node("QuantizeLinear", [value, scale, zero_point])
    return [quantized, ir.node("DequantizeLinear", [quantized.outputs[0], scale, zero_point])]


def _branch(nodes: list[ir.Node], name: str) -> ir.Graph:
    """A graph without inputs: what it reads belongs to the graph around it."""
    for number, node in enumerate(nodes):
        node.outputs[0].name = f"{name}_{number}"
    last = nodes[-1].outputs[0]
    last.type = ir.TensorType(ir.DataType.FLOAT)
    return ir.Graph((), [last], nodes=nodes, name=name)
