"""Bring weights to where the other passes look for them: initializers that the operator reads directly.

Rules
1. Constant -> initializer. Exports of Paddle keep every weight in a Constant node.
2. Identity(x) -> x. The same exports put one after nearly every operator.
3. An initializer is no graph input. Before IR 4 each one had to be listed there too, which makes it replaceable by the
   caller, so that ONNX Runtime would fold nothing that depends on it.

requires: any model of one graph
ensures: float outputs unchanged to the last bit; names of inputs, outputs and remaining nodes unchanged; every node has
    a name of its own
"""

import onnx_ir as ir
from onnx_ir.passes import common


def lift_constants(model: ir.Model) -> ir.Model:
    model = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).model
    if not _hands_out_outer_values(model.graph):
        model = common.IdentityEliminationPass()(model).model
    model = common.RemoveInitializersFromInputsPass()(model).model
    _name_nodes(model.graph)  # before the pass that would number them
    return common.NameFixPass()(model).model


def _hands_out_outer_values(graph: ir.Graph) -> bool:
    """True when a branch is nothing but Identity(value from outside): without it, the branch would have no output."""
    bodies = [body for node in ir.traversal.RecursiveGraphIterator(graph) for body in _bodies(node)]
    outputs = [(body, value.producer()) for body in bodies for value in body.outputs]
    return any(
        node is not None and node.op_type == "Identity" and _is_from_outside(node.inputs[0], body)
        for body, node in outputs
    )


def _bodies(node: ir.Node) -> list[ir.Graph]:
    return [a.as_graph() for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]


def _is_from_outside(value: ir.Value | None, body: ir.Graph) -> bool:
    producer = None if value is None else value.producer()
    inside = producer is not None and producer.graph is body
    return not inside and value not in body.inputs


def _name_nodes(graph: ir.Graph) -> None:
    """Name by operator and output what has no name: users refer to nodes in recipes and read them in reports."""
    for node in graph:
        if not node.name:
            node.name = f"{node.op_type}_{node.outputs[0].name}"
