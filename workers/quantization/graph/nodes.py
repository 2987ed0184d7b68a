"""Finding the nodes of a graph by the names that placements and reports call them."""

import onnx_ir as ir


def nodes_by_name(graph: ir.Graph) -> dict[str, ir.Node]:
    """Of the main graph; those of subgraphs are not among them."""
    return {node.name or "": node for node in graph}
