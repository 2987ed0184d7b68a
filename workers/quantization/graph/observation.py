"""The graph that calibration runs: the float model with the tensors of interest as additional outputs."""

from collections.abc import Iterable

import onnx
import onnx_ir as ir


def also_giving_out(model: ir.Model, tensors: Iterable[str]) -> tuple[ir.Model, tuple[str, ...]]:
    """Returns the graph and the names it gives out beyond the model's own; graph inputs are left to whoever feeds them.

    The model itself is not changed.
    """
    watched = model.clone()
    present = {v.name for v in watched.graph.outputs} | {v.name for v in watched.graph.inputs}
    wanted = set(tensors) - present
    added = []
    for value in [v for node in watched.graph for v in node.outputs if v.name in wanted]:
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        watched.graph.outputs.append(value)
        added.append(value.name or "")
    return watched, tuple(added)


def with_observed_outputs(model: ir.Model, tensors: Iterable[str]) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The same as a message, for a model that fits into one."""
    watched, added = also_giving_out(model, tensors)
    return ir.to_proto(watched), added


def observing(model: ir.Model, tensors: Iterable[str]) -> ir.Model:
    """A copy, sharing the weights, that gives out these computed tensors and nothing else: the rest is not computed."""
    watched = model.clone()
    values = {v.name: v for node in watched.graph for v in node.outputs}
    wanted = [values[name] for name in tensors]
    for value in wanted:
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    watched.graph.outputs.clear()
    watched.graph.outputs.extend(wanted)
    return watched
