"""Write integer matrix products in the form that ONNX Runtime runs fastest on CPUs.

    MatMul(DequantizeLinear(x), DequantizeLinear(w)) + bias  ->  com.microsoft.MatMulIntegerToFloat(x, w, .., bias)

ONNX Runtime makes the same replacement by itself for most products, but leaves the addition of the bias behind as a
pass over the whole result. The integers, scales and zero points are the same: only float additions change their order.

requires: a graph written by `insert_qdq`; weights of two axes, quantized per tensor or along axis 1
ensures: outputs unchanged to 1e-5 relative; the product writes the addition's output name; names of other nodes
    unchanged. The result runs in ONNX Runtime only: operators of its own domain are no ONNX standard.
"""

import onnx_ir as ir

from workers.quantization.graph.constants import constant_of, drop_unused_initializers, float_constant_of
from workers.quantization.passes.fold_batch_norm import rewire_output, sole_reader_follows

DOMAIN = "com.microsoft"


def fuse_integer_matmul(model: ir.Model) -> list[str]:
    """Returns the names of the products that were replaced; the model is changed in place."""
    graph = model.graph
    touched = []
    for node in [n for n in graph if n.op_type == "MatMul" and n.domain == ""]:
        sources = [_dequantize(node.inputs[0]), _dequantize(node.inputs[1])]
        data, weight = sources
        if data is not None and weight is not None and _is_integer_weight(weight):
            touched.append(node.name or "")
            _fuse(graph, node, data, weight)
    if touched:
        model.opset_imports[DOMAIN] = 1
        _drop_unread(graph)
        drop_unused_initializers(graph)
    return touched


def _dequantize(value: ir.Value | None) -> ir.Node | None:
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None


def _is_integer_weight(dequantize: ir.Node) -> bool:
    codes, scale = constant_of(dequantize.inputs[0]), constant_of(dequantize.inputs[1])
    if codes is None or scale is None or codes.ndim != 2:
        return False
    return scale.ndim == 0 or dequantize.attributes.get_int("axis", 1) == 1


def _fuse(graph: ir.Graph, product: ir.Node, data: ir.Node, weight: ir.Node) -> None:
    addition, bias = _addition_of_bias(product)
    codes = constant_of(weight.inputs[0])
    assert codes is not None
    inputs = [data.inputs[0], weight.inputs[0], data.inputs[1], weight.inputs[1], data.inputs[2], weight.inputs[2]]
    fused = ir.node(
        "MatMulIntegerToFloat", [*inputs, *([bias] if bias is not None else [])], domain=DOMAIN, name=product.name
    )
    last = product if addition is None else addition
    graph.insert_before(last, fused)
    rewire_output(graph, fused, last)
    if addition is not None:
        graph.remove(product, safe=True)


def _addition_of_bias(product: ir.Node) -> tuple[ir.Node | None, ir.Value | None]:
    """The Add that alone reads the product and adds one constant for each column, and that constant."""
    value = product.outputs[0]
    if not sole_reader_follows(value):
        return None, None
    (reader,) = value.consumers()
    if reader.op_type != "Add" or reader.graph is not product.graph:
        return None, None
    other = reader.inputs[1] if reader.inputs[0] is value else reader.inputs[0]
    weight = product.inputs[1]
    columns = None if weight is None or weight.producer() is None else constant_of(weight.producer().inputs[0])  # type: ignore[union-attr]  # checked before
    constant = float_constant_of(other)
    if constant is None or columns is None or constant.shape != (columns.shape[1],):
        return None, None
    return reader, other


def _drop_unread(graph: ir.Graph) -> None:
    """Dequantize operators whose only readers were replaced."""
    for node in reversed(list(graph)):
        if node.op_type == "DequantizeLinear" and not any(v.uses() or v.is_graph_output() for v in node.outputs):
            graph.remove(node, safe=True)
