"""Write a placement into a graph as standard QuantizeLinear / DequantizeLinear operators.

Rules
1. weight -> int8 initializer, DequantizeLinear
2. bias of Conv and Gemm -> int32 initializer with scale = input scale * weight scale, DequantizeLinear; it stays float
   where the placement says so. What is added to a MatMul stays float too, but ONNX Runtime makes such a bias of it when
   it loads the model: wherever there is a bias, the scales of the weight leave room for it
3. Gather(table) -> Gather(int8 table), DequantizeLinear: only the rows that were looked up become floats. With a scale
   for each column, the DequantizeLinear has scale 1 and a Mul by the scales follows: ONNX Runtime runs the pair ten
   times as fast as a DequantizeLinear along the last axis
4. a quantized weight that bodies of control flow read as well -> they read what its DequantizeLinear restores: a float
   copy for them alone would make the file larger than the float model's
5. tensor -> QuantizeLinear, DequantizeLinear, before the readers that the placement names; several pairs of one tensor
   stand side by side

requires: opset >= 13; the placement was made for this graph; qparams for every tensor in `placement.observed`
ensures: names of inputs, outputs and existing nodes unchanged; no float copy of a quantized weight remains
"""

import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from workers.quantization.affine import FloatArray, QParams, choose_weight_qparams, quantize
from workers.quantization.bias import quantize_bias, weight_scale_for_bias
from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of
from workers.quantization.graph.nodes import nodes_by_name
from workers.quantization.graph.weighted_operators import WeightSite, is_standard
from workers.quantization.passes.fold_batch_norm import sole_reader_follows
from workers.quantization.placement import Pair, Placement
from workers.quantization.rounding.rounded_weight import RoundedWeight, round_weight


def insert_qdq(
    model: ir.Model,
    placement: Placement,
    activations: Mapping[str, QParams],
    *,
    rounded: Mapping[str, RoundedWeight] | None = None,
) -> None:
    """Change `model` in place.

    activations: qparams by tensor. rounded: by operator; weights that it lacks, and tables, are rounded to the nearest.
    """
    graph = model.graph
    nodes = nodes_by_name(graph)
    scale_of = {pair.tensor: activations[pair.scale_of] for pair in placement.pairs}
    writer = _WeightWriter(graph, rounded or {})
    for site in placement.weights:
        node = nodes[site.node]
        if site.op_type == "Gather":
            writer.write_table(node, site)
        else:
            source = node.inputs[0]
            assert source is not None
            writer.write(node, site, scale_of[source.name or ""])
    writer.share_with_bodies()
    # only now: the lines above look tensors up by the name that the readers see
    written: Counter[str] = Counter()
    for pair in placement.pairs:
        written[pair.tensor] += 1
        number = written[pair.tensor]
        label = pair.tensor if number == 1 else f"{pair.tensor}_{number}"
        _insert_pair(graph, pair, activations[pair.scale_of], label=label)
    drop_unused_initializers(graph)


class _WeightWriter:
    """Writes weights and biases; two operators that share a weight share its integers."""

    def __init__(self, graph: ir.Graph, rounded: Mapping[str, RoundedWeight]) -> None:
        self._graph = graph
        self._rounded = rounded
        self._written: dict[tuple[str, str], ir.Value] = {}
        self._restored: dict[ir.Value, ir.Value] = {}
        """What a float weight became, for one of its readers at least."""

    def write(self, node: ir.Node, site: WeightSite, source: QParams) -> None:
        value = node.inputs[site.weight_input]
        array = float_constant_of(value)
        assert value is not None
        assert array is not None
        becomes_int32 = site.bias_input is not None and site.bias == "int32"
        bias = float_constant_of(node.inputs[site.bias_input or 0]) if becomes_int32 else None
        added = _added_bias(node, channels=array.shape[site.axis]) if site.op_type == "MatMul" else None
        weight = self._rounded.get(site.node) or round_weight(array, site.scheme, axis=site.axis, limited=False)
        if bias is not None:
            weight = _with_room_for_bias(weight, array, bias, site, source)
            self._write_bias(node, site, bias, weight.qparams.scale * source.scale)
        elif added is not None:
            weight = _with_room_for_bias(weight, array, added, site, source)
        self._restored[value] = self._dequantized(value.name or "", weight, site.axis)
        node.replace_input_with(site.weight_input, self._restored[value])

    def share_with_bodies(self) -> None:
        """Rule 4."""
        for value, restored in self._restored.items():
            for use in [u for u in value.uses() if u.node.graph is not self._graph]:
                use.node.replace_input_with(use.idx, restored)

    def write_table(self, node: ir.Node, site: WeightSite) -> None:
        table_value = node.inputs[0]
        table = float_constant_of(table_value)
        assert table is not None
        assert table_value is not None
        qparams = choose_weight_qparams(table, site.scheme, axis=site.axis)
        name = table_value.name or ""
        codes = add_constant(self._graph, f"{name}_quantized", quantize(table, qparams))
        node.replace_input_with(0, codes)
        rows, found = node.outputs[0], node.outputs[0].name or ""
        restored = self._restored_rows(rows, name, qparams)
        last = restored[-1].outputs[0]
        ir.convenience.replace_all_uses_with(rows, last, replace_graph_outputs=True)
        restored[0].replace_input_with(0, rows)
        rows.name, last.name = f"{found}_rows", found
        last.type, last.shape = rows.type, rows.shape
        rows.type = ir.TensorType(ir.DataType.INT8)
        self._graph.insert_after(node, restored)

    def _restored_rows(self, rows: ir.Value, name: str, qparams: QParams) -> list[ir.Node]:
        """Rule 3."""
        if qparams.axis is None:
            return [self._dequantize_node(rows, name, qparams, axis=0)]
        unit = add_constant(self._graph, f"{name}_unit", np.array(1.0, np.float32))
        zero = add_constant(self._graph, f"{name}_zero_point", np.array(0, np.int8))
        dequantize = ir.node("DequantizeLinear", [rows, unit, zero], name=f"{name}_dequantize")
        dequantize.outputs[0].name = f"{name}_steps"
        # columns are the last axis of what was looked up, whatever the shape of the indices
        scale = add_constant(self._graph, f"{name}_scale", qparams.scale)
        return [dequantize, ir.node("Mul", [dequantize.outputs[0], scale], name=f"{name}_rescale")]

    def _dequantized(self, name: str, weight: RoundedWeight, axis: int) -> ir.Value:
        # a digest and not the codes themselves, which can take gigabytes
        digest = hashlib.sha256(np.ascontiguousarray(weight.codes).data)
        digest.update(weight.qparams.scale.tobytes())
        key = (name, digest.hexdigest())
        if key not in self._written:
            codes = add_constant(self._graph, f"{name}_quantized", weight.codes)
            node = self._dequantize_node(codes, name, weight.qparams, axis=axis)
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


def _added_bias(product: ir.Node, *, channels: int) -> FloatArray | None:
    """[channels]: the constant in the Add that alone reads a product."""
    value = product.outputs[0]
    if not sole_reader_follows(value):
        return None
    (reader,) = value.consumers()
    if reader.op_type != "Add" or not is_standard(reader) or reader.graph is not product.graph:
        return None
    constant = float_constant_of(reader.inputs[1] if reader.inputs[0] is value else reader.inputs[0])
    if constant is None or constant.size not in {1, channels} or constant.shape[-1:] not in {(), (1,), (channels,)}:
        return None
    return np.broadcast_to(constant.reshape(-1), (channels,))


def _with_room_for_bias(
    weight: RoundedWeight, array: FloatArray, bias: FloatArray, site: WeightSite, source: QParams
) -> RoundedWeight:
    """The weight, rounded anew to the nearest if its scales are too small for the bias's 32 bits."""
    roomy = weight_scale_for_bias(weight.qparams, array, bias, input_scale=source.scale)
    if np.array_equal(roomy.scale, weight.qparams.scale):
        return weight
    return round_weight(array, weight.qparams.scheme, axis=site.axis, limited=weight.limited_pairs, scale=roomy.scale)


def _insert_pair(graph: ir.Graph, pair: Pair, qparams: QParams, *, label: str) -> None:
    value = _value_named(graph, pair.tensor)
    uses = [u for u in value.uses() if pair.readers is None or (u.node.name, u.idx) in pair.readers]
    scale = add_constant(graph, f"{label}_scale", qparams.scale)
    zero_point = add_constant(graph, f"{label}_zero_point", qparams.zero_point.astype(qparams.scheme.dtype))
    quantized = ir.node("QuantizeLinear", [value, scale, zero_point], name=f"{label}_quantize")
    quantized.outputs[0].name = f"{label}_quantized"
    restored = ir.node("DequantizeLinear", [quantized.outputs[0], scale, zero_point], name=f"{label}_dequantize")
    restored.outputs[0].name = f"{label}_dequantized"
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
