"""Which inputs of a model have time as their first axis: those that a recurrent operator reads step by step."""

import onnx

_RECURRENT = frozenset({"RNN", "GRU", "LSTM"})
_KEEPING_AXES = frozenset(
    {"Cast", "Identity", "Relu", "LeakyRelu", "Tanh", "Sigmoid", "Clip", "Gelu", "Dropout", "LayerNormalization"}
)
"""Operators whose output has the axes of their first input."""
_WITH_A_CONSTANT = frozenset({"Add", "Sub", "Mul", "Div", "MatMul"})
"""Likewise, where the other input is none of the model's."""


def time_first(model: onnx.ModelProto) -> tuple[str, ...]:
    """Source: ONNX GRU-14: with layout 0, the default, X is [steps, batch, features]."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    origin = {name: name for name in inputs}
    found: set[str] = set()
    for node in model.graph.node:
        source = _source(node, origin)
        if source is None:
            continue
        if node.op_type in _RECURRENT:
            found |= {source} if _layout(node) == 0 else set()
        else:
            origin[node.output[0]] = source
    return tuple(name for name in inputs if name in found)


def _source(node: onnx.NodeProto, origin: dict[str, str]) -> str | None:
    """The model's input whose first axis is still the first one of what the operator reads."""
    known = [origin[name] for name in node.input if name in origin]
    if node.op_type in _RECURRENT or node.op_type in _KEEPING_AXES:
        return origin.get(node.input[0])
    if node.op_type in _WITH_A_CONSTANT and len(known) == 1:
        return origin.get(node.input[0]) if node.op_type == "MatMul" else known[0]
    looks_rows_up = node.op_type == "Gather" and not any(a.name == "axis" and a.i for a in node.attribute)
    return origin.get(node.input[1]) if looks_rows_up else None


def _layout(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "layout"), 0)
