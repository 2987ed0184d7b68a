"""Drop dilations of 1 from average pools: they change nothing, and no integer kernel knows the word.

    AveragePool(x, dilations=[1, 1])  ->  AveragePool(x)

ONNX Runtime makes QLinearAveragePool of a pool between integers, hands the attribute on, and then refuses its own
graph.

ensures: outputs equal to the last bit; names unchanged
"""

import onnx_ir as ir

from workers.quantization.placement.integer_flow import _dilations


def plain_pools(model: ir.Model) -> list[str]:
    """Change `model` in place. Returns the names of the operators that changed."""
    touched = []
    for node in model.graph:
        if node.op_type == "AveragePool" and node.domain == "" and _dilations(node) == {1}:
            node.attributes.pop("dilations")
            touched.append(node.name or "")
    return touched
