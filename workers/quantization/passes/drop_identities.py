"""Identity(x) -> x, in the graph and in every body.

Rules
1. y = Identity(x), y no output of its graph: whoever reads y reads x.
2. y an output: x is called y from now on, and is the output. Not so where x has a name to keep, or belongs elsewhere:
   where it is an output itself, an input, an initializer, or a value from outside of the body.

requires: any graph
ensures: results unchanged to the last bit; names of inputs and outputs unchanged, those of bodies too
"""

import onnx_ir as ir


def drop_identities(model: ir.Model) -> None:
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.op_type == "Identity" and node.domain == "" and _may_go(node):
            _drop(node)


def _may_go(identity: ir.Node) -> bool:
    x, y = identity.inputs[0], identity.outputs[0]
    if x is None:
        return False
    return not y.is_graph_output() or (_is_computed_beside(x, identity) and not x.is_graph_output())


def _is_computed_beside(x: ir.Value, node: ir.Node) -> bool:
    producer = x.producer()
    return producer is not None and producer.graph is node.graph


def _drop(identity: ir.Node) -> None:
    x, y = identity.inputs[0], identity.outputs[0]
    assert x is not None
    assert identity.graph is not None
    if x.type is None:
        x.type = y.type
    x.shape = _more_of(x.shape, y.shape)
    is_output = y.is_graph_output()
    ir.convenience.replace_all_uses_with(y, x, replace_graph_outputs=True)
    if is_output:
        x.name = y.name
    identity.graph.remove(identity, safe=True)


def _more_of(one: ir.Shape | None, other: ir.Shape | None) -> ir.Shape | None:
    """What two notes of one shape say together. Where they contradict each other, the first is believed."""
    if one is None or other is None or len(one) != len(other):
        return one if one is not None else other
    return ir.Shape([a if _is_known(a) or not _is_known(b) else b for a, b in zip(one, other, strict=True)])


def _is_known(extent: int | ir.SymbolicDim) -> bool:
    return isinstance(extent, int) or extent.value is not None
