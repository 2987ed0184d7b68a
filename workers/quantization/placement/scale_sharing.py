"""Which tensors must have one scale because the same integers pass through them."""

from collections import defaultdict
from collections.abc import Set as AbstractSet

import onnx_ir as ir

from workers.quantization.graph.constants import constant_of
from workers.quantization.placement.integer_flow import MOVES_VALUES


class SharedScales:
    """The scales of a graph in which the named Concat and MaxPool operators pass int8 on.

    A tensor has the scale of the one it was copied from. The inputs of a Concat have the scale of its result, whose
    range is the union of theirs; of a chain of them, the last one's.
    """

    def __init__(self, graph: ir.Graph, integer_operators: AbstractSet[str]) -> None:
        self._passing = {n.name for n in graph if n.op_type == "MaxPool" and n.name in integer_operators}
        self._joins: defaultdict[str, dict[str, ir.Value]] = defaultdict(dict)
        for node in graph:
            if node.op_type == "Concat" and node.name in integer_operators:
                for value in node.inputs:
                    assert value is not None
                    self._joins[self._origin(value).name or ""][node.name or ""] = node.outputs[0]

    def of(self, value: ir.Value) -> str:
        """The tensor whose range gives the scale of `value`."""
        origin = self._origin(value)
        joins = list(self._joins[origin.name or ""].values())
        # in two Concats at once it cannot have both scales, so it keeps its own
        return self.of(joins[0]) if len(joins) == 1 else origin.name or ""

    def read_by(self, node: ir.Node, index: int) -> str:
        """The same for an input of an operator: every input of a Concat has the result's scale."""
        value = node.outputs[0] if node.op_type == "Concat" else node.inputs[index]
        assert value is not None
        return self.of(value)

    def _origin(self, value: ir.Value) -> ir.Value:
        """The tensor that `value` is a copy of."""
        node = value.producer()
        while node is not None and (node.op_type in MOVES_VALUES - {"MaxPool"} or node.name in self._passing):
            source = node.inputs[0]
            if source is None or constant_of(source) is not None:
                break
            value, node = source, source.producer()
        return value
