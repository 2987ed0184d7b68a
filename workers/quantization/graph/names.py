"""Names that no two values or nodes share."""

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass


def fix_names(model: ir.Model) -> None:
    """Change `model` in place. An output that is left out stays so: with a name it would be one that is asked for."""
    omitted = [v for node in model.graph.all_nodes() for v in node.outputs if v.name == ""]
    NameFixPass()(model)
    for value in omitted:
        value.name = ""
