"""One operator of a graph as a model of its own, its weight and bias given at run time."""

import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

INPUTS = ("x", "weight", "bias")
OUTPUT = "y"

_IR_VERSION = 8


def isolated(node: ir.Node, *, opset: int) -> onnx.ModelProto:
    """Inputs x, weight and, if the operator has one, bias: float32 of any shape. One output, y."""
    proto = ir.to_proto(node)
    alone = onnx.NodeProto(op_type=proto.op_type, attribute=proto.attribute)
    names = [name for name, value in zip(INPUTS, node.inputs, strict=False) if value is not None]
    alone.input.extend(names)
    alone.output.append(OUTPUT)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)]
    graph = helper.make_graph([alone], "isolated", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)
