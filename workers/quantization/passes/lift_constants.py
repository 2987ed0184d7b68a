"""Bring weights to where the other passes look for them: initializers that the operator reads directly.

Rules
1. Constant -> initializer. Exports of Paddle keep every weight in a Constant node.
2. Identity(x) -> x (`drop_identities`). The same exports put one after nearly every operator.
3. What follows from constants alone -> initializer (`fold_constants`).
4. An initializer is no graph input. Before IR 4 each one had to be listed there too, which makes it replaceable by the
   caller, so that ONNX Runtime would fold nothing that depends on it.

requires: any model of one graph
ensures: float outputs unchanged to the last bit; names of inputs, outputs and remaining nodes unchanged; every node has
    a name of its own
"""

from collections.abc import Collection

import onnx_ir as ir
from onnx_ir.passes import common

from workers.quantization.graph.names import fix_names
from workers.quantization.passes.drop_identities import drop_identities
from workers.quantization.passes.fold_constants import fold_constants

LIFTING = ("drop_identities", "fold_constants")
"""The steps that can be left out: weights behind them are not seen then."""


def lift_constants(model: ir.Model, *, without: Collection[str] = ()) -> ir.Model:
    model = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).model
    if "drop_identities" not in without:
        drop_identities(model)
    model = common.RemoveInitializersFromInputsPass()(model).model
    if "fold_constants" not in without:
        fold_constants(model)
    _name_nodes(model.graph)  # before the pass that would number them
    fix_names(model)
    return model


def _name_nodes(graph: ir.Graph) -> None:
    """Name by operator and output what has no name: users refer to nodes in recipes and read them in reports."""
    for node in graph:
        if not node.name:
            given = next((value.name for value in node.outputs if value.name), "")
            node.name = f"{node.op_type}_{given}"
