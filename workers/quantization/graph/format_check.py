"""The format's own checker for a graph without its weights, minus one thing that it asks for and no runtime does.

An output need not tell its shape: exporters leave it out where they do not know the number of axes.
"""

from onnx import checker

from workers.quantization.graph.skeleton import Skeleton


def check_graph(skeleton: Skeleton) -> None:
    """Raises what `onnx.checker.check_model` raises. No output of the skeleton is without a shape afterwards."""
    for output in skeleton.model.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.shape.SetInParent()
    checker.check_model(skeleton.model)
