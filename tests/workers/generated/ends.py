"""What a model ends in."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.workers.generated.builder import Builder, Value


def flattened(b: Builder, x: Value) -> Value:
    if len(x.shape) == 3:
        pooled = b.node("GlobalAveragePool", [x], (x.shape[0], 1, 1))
        return b.node("Flatten", [pooled], (x.shape[0],))
    if len(x.shape) == 2:
        return b.reduced("ReduceMean", x, [1], x.shape[1:])
    return x


def branched(b: Builder, x: Value) -> Value:
    """A branch for each sign of the sum, which read x and one weight from outside."""
    weight = b.weight(x.shape[-1], x.shape[-1], fan=x.shape[-1])
    total = b.node("ReduceMax", [x], keepdims=0)
    condition = b.node("Greater", [total, b.constant(np.float32(0))])
    info = helper.make_tensor_value_info

    def body(name: str, op: str, inputs: list[str]) -> onnx.GraphProto:
        out = f"{b.prefix}{name}_{b.count}"
        nodes = [helper.make_node(op, inputs, [f"{out}_0"]), helper.make_node("Identity", [f"{out}_0"], [out])]
        return helper.make_graph(nodes, name, [], [info(out, TensorProto.FLOAT, None)])

    return b.node(
        "If", [condition], x.shape,
        then_branch=body("then", "MatMul", [x.name, weight]), else_branch=body("else", "Neg", [x.name]),
    )  # fmt: skip
