"""Drop dilations of 1 from average pools: they change nothing, and no integer kernel knows the word.

    AveragePool(x, dilations=[1, 1])  ->  AveragePool(x)

ONNX Runtime makes QLinearAveragePool of a pool between integers, hands the attribute on, and then refuses its own
graph.

ensures: outputs equal to the last bit; names unchanged
"""

import onnx_ir as ir


def plain_pools(model: ir.Model) -> list[str]:
    """Change `model` in place. Returns the names of the operators that changed."""
    touched = []
    for node in model.graph:
        if node.op_type == "AveragePool" and node.domain == "" and _dilations(node) == {1}:
            node.attributes.pop("dilations")
            touched.append(node.name or "")
    return touched


def is_dilated_pool(node: ir.Node | None) -> bool:
    return node is not None and node.op_type == "AveragePool" and bool(_dilations(node) - {1})


def _dilations(node: ir.Node) -> set[int]:
    return set(node.attributes.get_ints("dilations", ()) or ())
