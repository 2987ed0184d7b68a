"""Dynamic int8 as a pass of ours, for models that ONNX Runtime's own tool could not hold: one weight at a time.

Rules
1. MatMul(x, constant W [K, N]) -> DynamicQuantizeLinear(x), MatMulInteger, Cast, Mul(scale of x * scale of W). Products
   of one input share its DynamicQuantizeLinear, and operators of one weight its integers.
2. Gemm(x, constant W, b) -> the same with W as [K, N], then Add(b)
3. Gather(table) -> Gather(int8 table) and what restores the rows, as `insert_qdq` writes it

Weights are symmetric, rounded to the nearest. ONNX Runtime fuses 1 into one operator, as it does its own tool's output.

requires: opset >= 13; `lift_constants` ran
ensures: names of inputs, outputs and remaining nodes unchanged; no float copy of a quantized weight remains
"""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of
from workers.quantization.graph.names import fix_names
from workers.quantization.graph.weighted_operators import WeightSite, is_candidate, weight_site
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.placement import Placement
from workers.quantization.rounding.rounded_weight import round_weight
from workers.quantization.scheme import Scheme, weight_scheme

_PRODUCTS = frozenset({"Gemm", "MatMul"})


def quantize_products(
    model: ir.Model, *, per_channel: bool, limited: bool, nodes_to_exclude: Collection[str] = ()
) -> frozenset[str]:
    """Change `model` in place; returns the names of the operators that became integers.

    limited: hold neighbouring weights to what processors without VNNI can add (`pair_limit`).
    """
    scheme = weight_scheme(per_channel=per_channel)
    sites = {node: site for node in model.graph if (site := _site(node, scheme, nodes_to_exclude)) is not None}
    tables = tuple(site for site in sites.values() if site.op_type == "Gather")
    writer = _Writer(model.graph, limited=limited)
    for node, site in sites.items():
        if site.op_type in _PRODUCTS:
            writer.write(node, site)
    insert_qdq(model, Placement(tables, (), ()), {})
    drop_unused_initializers(model.graph)
    fix_names(model)  # should the model use one of our names already
    return frozenset(site.node for site in sites.values())


def _site(node: ir.Node, scheme: Scheme, excluded: Collection[str]) -> WeightSite | None:
    if not is_candidate(node) or node.op_type not in _PRODUCTS | {"Gather"} or node.name in excluded:
        return None
    site = weight_site(node, scheme)
    if isinstance(site, WeightSite) and (node.op_type == "Gather" or _is_plain_product(node)):
        return site
    return None


def _is_plain_product(node: ir.Node) -> bool:
    weight = float_constant_of(node.inputs[1])
    return weight is not None and weight.ndim == 2 and not node.attributes.get_int("transA", 0)


class _Writer:
    def __init__(self, graph: ir.Graph, *, limited: bool) -> None:
        self._graph = graph
        self._limited = limited
        self._inputs: dict[ir.Value, ir.Node] = {}
        self._weights: dict[tuple[ir.Value, int], tuple[ir.Value, ir.Value]] = {}

    def write(self, node: ir.Node, site: WeightSite) -> None:
        """Rules 1 and 2."""
        source, weight, result = node.inputs[0], node.inputs[1], node.outputs[0]
        assert source is not None
        assert weight is not None
        name = node.name or ""
        quantized = self._quantized(source, node)
        codes, scale = self._rounded(weight, site)
        product = _new("MatMulInteger", [quantized.outputs[0], codes, quantized.outputs[2]], f"{name}_integer")
        reals = _new("Cast", product.outputs, f"{name}_cast", to=ir.DataType.FLOAT)
        scales = _new("Mul", [quantized.outputs[1], scale], f"{name}_scales")
        chain = [product, reals, scales, _new("Mul", [reals.outputs[0], scales.outputs[0]], f"{name}_rescale")]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            chain.append(_new("Add", [chain[-1].outputs[0], bias], f"{name}_bias"))
        last = chain[-1].outputs[0]
        last.type, last.shape = result.type, result.shape
        self._graph.insert_after(node, chain)
        ir.convenience.replace_all_uses_with(result, last, replace_graph_outputs=True)
        self._graph.remove(node, safe=True)
        last.name = result.name

    def _quantized(self, source: ir.Value, reader: ir.Node) -> ir.Node:
        """Before its first reader; the others follow, as graphs are sorted."""
        if source not in self._inputs:
            node = ir.node("DynamicQuantizeLinear", [source], num_outputs=3, name=f"{source.name}_dynamic")
            for value, part in zip(node.outputs, ("quantized", "scale", "zero_point"), strict=True):
                value.name = f"{source.name}_{part}"
            self._graph.insert_before(reader, node)
            self._inputs[source] = node
        return self._inputs[source]

    def _rounded(self, value: ir.Value, site: WeightSite) -> tuple[ir.Value, ir.Value]:
        """Codes as [K, N], and their scale."""
        if (value, site.axis) not in self._weights:
            weight = float_constant_of(value)
            assert weight is not None
            rounded = round_weight(weight, site.scheme, axis=site.axis, limited=self._limited)
            # [N, K] -> [K, N]
            codes = rounded.codes if site.axis == 1 else np.ascontiguousarray(rounded.codes.T)
            del weight
            if isinstance(value.const_value, ir.ExternalTensor):
                value.const_value.release()  # the mapping, whose pages count as ours once they were read
            self._weights[value, site.axis] = (
                add_constant(self._graph, f"{value.name}_quantized", codes),
                add_constant(self._graph, f"{value.name}_scale", rounded.qparams.scale),
            )
        return self._weights[value, site.axis]


def _new(op_type: str, inputs: Collection[ir.Value], name: str, **attributes: int) -> ir.Node:
    node = ir.node(op_type, list(inputs), attributes, name=name)
    node.outputs[0].name = f"{name}_output"
    return node
