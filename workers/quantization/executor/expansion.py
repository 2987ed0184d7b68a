"""Replace what the operator table lacks by what it is made of: ONNX function bodies.

ONNX defines many of its operators by other operators (Mish, Celu, Attention, ...), and a model may bring functions of
its own. A body is written against its own opset, so each node that comes out of it carries that version.

requires: any model
ensures: every node is in the table, or has no body; names of inputs, outputs and kept values are unchanged
"""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from workers.quantization.executor.operators import TABLE
from workers.quantization.executor.operators.entry import lookup

OpSchema = Any
"""onnx.defs.OpSchema: its type stub lacks half of what it has."""

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
CONTROL = frozenset({"Constant"})
"""Operators that the program itself understands."""

FROM_A_DEFINITION = "from_a_definition"
"""Marks the nodes of ONNX's own bodies: their constants define the operator and are nobody's weights."""


def expanded(model: ir.Model) -> ir.Model:
    """A copy of the model, sharing its weights, in which nodes without an entry gave way to their bodies."""
    result = model.clone()
    for function in result.functions.values():
        _pin_versions(function)
    common.InlinePass()(result)
    while _declare_bodies(result):
        common.InlinePass()(result)
    return result


def opset_of(node: ir.Node, imports: Mapping[str, int]) -> int:
    """The version by which the node is to be read: its own if it came out of a body, else the model's."""
    return node.version or imports.get(node.domain, 1)


def is_known(node: ir.Node, imports: Mapping[str, int]) -> bool:
    if node.domain not in STANDARD_DOMAINS:
        return False
    return node.op_type in CONTROL or lookup(TABLE, node.op_type, opset_of(node, imports)) is not None


def _declare_bodies(model: ir.Model) -> int:
    """Turn each unknown node that has a body into a call of a function of its own; returns how many."""
    unknown = [n for n in model.graph.all_nodes() if not is_known(n, model.opset_imports)]
    schemas = [(node, schema) for node in unknown if (schema := _schema(node, model.opset_imports)) is not None]
    if any(schema.has_context_dependent_function for _, schema in schemas):
        common.ShapeInferencePass(data_prop=False)(model)
    declared = 0
    for node, schema in schemas:
        body = _body(node, schema, opset_of(node, model.opset_imports))
        if body is not None:
            _declare(model, node, body, schema, number=declared)
            declared += 1
    return declared


def _schema(node: ir.Node, imports: Mapping[str, int]) -> OpSchema:
    """The operator's definition if it is ONNX's own and has a body, else None. Operators that take graphs stay."""
    if any(a.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for a in node.attributes.values()):
        return None
    domain = "" if node.domain in STANDARD_DOMAINS else node.domain
    try:
        schema: OpSchema = onnx.defs.get_schema(node.op_type, opset_of(node, imports), domain)
    except onnx.defs.SchemaError:
        return None
    return schema if schema.has_function or schema.has_context_dependent_function else None


def _body(node: ir.Node, schema: OpSchema, opset: int) -> onnx.FunctionProto | None:
    """The operator's body as it was written for this opset; some depend on the node's attributes and input types."""
    plain, dependent = schema.function_opset_versions, schema.context_dependent_function_opset_versions
    if plain:
        data = schema.get_function_with_opset_version(_closest(plain, opset))
    else:
        types = [_type_of(value) for value in node.inputs]
        proto = ir.serde.serialize_node(node).SerializeToString()
        data = schema.get_context_dependent_function_with_opset_version(_closest(dependent, opset), proto, types)
    return onnx.FunctionProto.FromString(data) if data else None


def _closest(versions: Sequence[int], opset: int) -> int:
    """The newest that is not newer than the opset, or the oldest: all of them define the same operator."""
    return max((v for v in versions if v <= opset), default=min(versions))


def _type_of(value: ir.Value | None) -> bytes:
    proto = onnx.TypeProto()
    if value is not None and value.type is not None:
        ir.serde.serialize_type_into(proto, value.type)
        if value.shape is not None:
            ir.serde.serialize_shape_into(proto, value.shape)
    data: bytes = proto.SerializeToString()
    return data


def _declare(model: ir.Model, node: ir.Node, body: onnx.FunctionProto, schema: OpSchema, *, number: int) -> None:
    """Each body gets an overload name of its own, so that one inlining pass replaces every node by its own body."""
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            node.attributes.add(ir.serde.deserialize_attribute(attribute.default_value))
    body.domain, body.name, body.overload = node.domain, node.op_type, f"body_{number}"
    _leave_out_unwanted_outputs(body, node)
    node.overload = body.overload
    function = ir.serde.deserialize_function(body)
    for inner in function.all_nodes():
        inner.meta[FROM_A_DEFINITION] = True
    _pin_versions(function)
    model.functions[function.identifier()] = function


def _pin_versions(function: ir.Function) -> None:
    """The nodes keep the versions they were written for: the inlining pass refuses functions of another opset."""
    for node in function.all_nodes():
        node.version = function.opset_imports.get(node.domain)
    function.opset_imports.clear()


def _leave_out_unwanted_outputs(body: onnx.FunctionProto, node: ir.Node) -> None:
    """A body that depends on its node does not compute the optional outputs that the node leaves out."""
    del body.output[len(node.outputs) :]
    made = [name for inner in body.node for name in inner.output]
    for place, name in enumerate(body.output):
        if name not in made:
            body.output[place] = f"{name}_unwanted"
            body.node.append(onnx.helper.make_node("Constant", [], [body.output[place]], value_float=0.0))
