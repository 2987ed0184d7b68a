"""Replace the five operators that spell out GELU by the one that means it.

    x / sqrt(2) -> Erf -> + 1 -> * x -> * 0.5     (the last two in either order of their inputs)  ->  Gelu(x)

ONNX Runtime fuses the spelled form by itself, but only while both readers of x see the same tensor. It gives every
reader of a quantized tensor a DequantizeLinear of its own, and then five float operators run where one would do: in a
text reader with 13 of them that was half of the time.

requires: `lift_constants` ran; opset >= 20, which introduced Gelu
ensures: float outputs unchanged to 1e-6; Gelu writes the last product's output name
"""

import math

import numpy as np
import onnx_ir as ir

from workers.quantization.graph.constants import constant_of, drop_unused_initializers
from workers.quantization.passes.fold_batch_norm import rewire_output, sole_reader_follows

GELU_OPSET = 20


def fuse_gelu(model: ir.Model) -> list[str]:
    """Returns the names of the Erf nodes that were replaced."""
    touched = []
    for erf in [n for n in model.graph if n.op_type == "Erf" and n.domain == ""]:
        spelled = _spelled_gelu(erf)
        if spelled is not None:
            source, inner = spelled
            _replace(model.graph, source, inner)
            touched.append(erf.name or "")
    drop_unused_initializers(model.graph)
    return touched


def _spelled_gelu(erf: ir.Node) -> tuple[ir.Value, list[ir.Node]] | None:
    """(x, the five operators in order), or None when it is no GELU or somebody else reads a part of it."""
    scaled = erf.inputs[0].producer() if erf.inputs[0] is not None else None
    source = None if scaled is None else _divided_by_sqrt2(scaled)
    plus = _next(erf, "Add")
    product = None if plus is None else _next(plus, "Mul")
    half = None if product is None else _next(product, "Mul")
    if scaled is None or source is None or plus is None or product is None or half is None:
        return None
    inner = [scaled, erf, plus, product, half]
    private = all(sole_reader_follows(n.outputs[0]) for n in inner[:-1])
    fits = _has_constant(plus, 1.0) and source in product.inputs and _has_constant(half, 0.5)
    return (source, inner) if private and fits and all(n.graph is erf.graph for n in inner) else None


def _divided_by_sqrt2(node: ir.Node) -> ir.Value | None:
    factor = {"Div": math.sqrt(2.0), "Mul": math.sqrt(0.5)}.get(node.op_type)
    return node.inputs[0] if factor is not None and _is(node.inputs[1], factor) else None


def _next(node: ir.Node, op_type: str) -> ir.Node | None:
    readers = list(node.outputs[0].consumers())
    return readers[0] if len(readers) == 1 and readers[0].op_type == op_type else None


def _has_constant(node: ir.Node, expected: float) -> bool:
    return any(_is(v, expected) for v in node.inputs)


def _is(value: ir.Value | None, expected: float) -> bool:
    array = constant_of(value)
    return array is not None and array.size == 1 and bool(np.isclose(float(array.item()), expected, rtol=1e-5))


def _replace(graph: ir.Graph, source: ir.Value, inner: list[ir.Node]) -> None:
    last = inner[-1]
    gelu = ir.node("Gelu", [source], name=f"{last.name}_gelu")
    graph.insert_before(last, gelu)
    rewire_output(graph, gelu, last)
    for node in reversed(inner[:-1]):
        graph.remove(node, safe=True)
