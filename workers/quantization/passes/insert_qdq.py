"""Write a placement into a graph as standard QuantizeLinear / DequantizeLinear operators.

Rules
1. weight -> int8 initializer, DequantizeLinear
2. bias of Conv and Gemm -> int32 initializer with scale = input scale * weight scale, DequantizeLinear
3. Gather(table) -> Gather(int8 table), DequantizeLinear: only the rows that were looked up become floats
4. tensor -> QuantizeLinear, DequantizeLinear, before the readers that the placement names

requires: opset >= 13; the placement was made for this graph; qparams for every tensor in `placement.observed`
ensures: names of inputs, outputs and existing nodes unchanged; no float copy of a quantized weight remains
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from workers.quantization.affine import FloatArray, QParams, choose_weight_qparams, quantize
from workers.quantization.bias import quantize_bias, weight_scale_for_bias
from workers.quantization.constants import add_constant, drop_unused_initializers, float_constant_of
from workers.quantization.placement import Pair, Placement
from workers.quantization.scheme import Scheme
from workers.quantization.weighted_operators import WeightSite


def insert_qdq(model: ir.Model, placement: Placement, activations: Mapping[str, QParams], weights: Scheme) -> None:
    """Change `model` in place. `activations`: qparams by tensor; `weights`: the scheme of every weight."""
    graph = model.graph
    nodes = {node.name: node for node in graph}
    scale_of = {pair.tensor: activations[pair.scale_of] for pair in placement.pairs}
    writer = _WeightWriter(graph, weights)
    for site in placement.weights:
        node = nodes[site.node]
        if site.op_type == "Gather":
            writer.write_table(node, site)
        else:
            source = node.inputs[0]
            assert source is not None
            writer.write(node, site, scale_of[source.name or ""])
    # only now: the lines above look tensors up by the name that the readers see
    for pair in placement.pairs:
        _insert_pair(graph, pair, scale_of[pair.tensor])
    drop_unused_initializers(graph)


class _WeightWriter:
    """Writes weights and biases; two operators that share a weight share its integers."""

    def __init__(self, graph: ir.Graph, scheme: Scheme) -> None:
        self._graph = graph
        self._scheme = scheme
        self._written: dict[tuple[str, int, bytes], ir.Value] = {}

    def write(self, node: ir.Node, site: WeightSite, source: QParams) -> None:
        value = node.inputs[site.weight_input]
        array = float_constant_of(value)
        assert value is not None
        assert array is not None
        bias = None if site.bias_input is None else float_constant_of(node.inputs[site.bias_input])
        qparams = choose_weight_qparams(array, self._scheme, axis=site.axis)
        if bias is not None:
            qparams = weight_scale_for_bias(qparams, array, bias, input_scale=source.scale)
            self._write_bias(node, site, bias, qparams.scale * source.scale)
        node.replace_input_with(site.weight_input, self._dequantized(value.name or "", array, qparams, site.axis))

    def write_table(self, node: ir.Node, site: WeightSite) -> None:
        table_value = node.inputs[0]
        table = float_constant_of(table_value)
        assert table is not None
        assert table_value is not None
        qparams = choose_weight_qparams(table, self._scheme, axis=site.axis)
        name = table_value.name or ""
        codes = add_constant(self._graph, f"{name}_quantized", quantize(table, qparams))
        node.replace_input_with(0, codes)
        rows, found = node.outputs[0], node.outputs[0].name or ""
        # columns are the last axis of what was looked up, whatever the shape of the indices
        dequantize = self._dequantize_node(rows, name, qparams, axis=-1)
        ir.convenience.replace_all_uses_with(rows, dequantize.outputs[0], replace_graph_outputs=True)
        dequantize.replace_input_with(0, rows)
        rows.name, dequantize.outputs[0].name = f"{found}_rows", found
        dequantize.outputs[0].type, dequantize.outputs[0].shape = rows.type, rows.shape
        rows.type = ir.TensorType(ir.DataType.INT8)
        self._graph.insert_after(node, dequantize)

    def _dequantized(self, name: str, array: FloatArray, qparams: QParams, axis: int) -> ir.Value:
        key = (name, axis, qparams.scale.tobytes())
        if key not in self._written:
            codes = add_constant(self._graph, f"{name}_quantized", quantize(array, qparams))
            node = self._dequantize_node(codes, name, qparams, axis=axis)
            node.outputs[0].name = f"{codes.name}_dequantized"
            self._graph.insert_before(self._graph[0], node)
            self._written[key] = node.outputs[0]
        return self._written[key]

    def _write_bias(self, node: ir.Node, site: WeightSite, bias: FloatArray, scale: FloatArray) -> None:
        assert site.bias_input is not None
        name = f"{node.name}_bias"
        codes = add_constant(self._graph, f"{name}_quantized", quantize_bias(bias, scale))
        inputs = [codes, add_constant(self._graph, f"{name}_scale", scale)]
        attributes = {"axis": 0} if scale.ndim else {}
        dequantize = ir.node("DequantizeLinear", inputs, attributes, name=f"{codes.name}_dequantize")
        dequantize.outputs[0].name = f"{codes.name}_dequantized"
        self._graph.insert_before(self._graph[0], dequantize)
        node.replace_input_with(site.bias_input, dequantize.outputs[0])

    def _dequantize_node(self, codes: ir.Value, name: str, qparams: QParams, *, axis: int) -> ir.Node:
        scale = add_constant(self._graph, f"{name}_scale", qparams.scale)
        zero_point = add_constant(self._graph, f"{name}_zero_point", qparams.zero_point.astype(np.int8))
        attributes = {} if qparams.axis is None else {"axis": axis}
        return ir.node("DequantizeLinear", [codes, scale, zero_point], attributes, name=f"{name}_dequantize")


def _insert_pair(graph: ir.Graph, pair: Pair, qparams: QParams) -> None:
    value = _value_named(graph, pair.tensor)
    uses = [u for u in value.uses() if pair.readers is None or (u.node.name, u.idx) in pair.readers]
    scale = add_constant(graph, f"{pair.tensor}_scale", qparams.scale)
    zero_point = add_constant(graph, f"{pair.tensor}_zero_point", qparams.zero_point.astype(qparams.scheme.dtype))
    quantized = ir.node("QuantizeLinear", [value, scale, zero_point], name=f"{pair.tensor}_quantize")
    quantized.outputs[0].name = f"{pair.tensor}_quantized"
    restored = ir.node("DequantizeLinear", [quantized.outputs[0], scale, zero_point], name=f"{pair.tensor}_dequantize")
    restored.outputs[0].name = f"{pair.tensor}_dequantized"
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], [quantized, restored])
    else:
        graph.insert_after(producer, [quantized, restored])
    for use in uses:
        use.node.replace_input_with(use.idx, restored.outputs[0])


def _value_named(graph: ir.Graph, name: str) -> ir.Value:
    for value in graph.inputs:
        if value.name == name:
            return value
    return next(v for node in graph for v in node.outputs if v.name == name)
