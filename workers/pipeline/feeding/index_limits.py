"""Inputs that look rows up in a table: an index beyond its end would stop a job in the middle, without a name."""

from collections.abc import Mapping

import numpy as np
import onnx

from app.contracts.problem import quoted, refuse
from workers.ingestion.data.samples import Batch

_PASSES_INDICES_ON = frozenset({"Cast", "Identity"})


def index_limits(model: onnx.ModelProto) -> dict[str, int]:
    """The number of rows in the smallest table that each input indexes directly. Source: ONNX Gather-13, axis 0."""
    rows = {i.name: i.dims[0] for i in model.graph.initializer if i.dims}
    rows |= {n.output[0]: t.dims[0] for n in model.graph.node if (t := _constant(n)) is not None and t.dims}
    origin = {i.name: i.name for i in model.graph.input}
    limits: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in _PASSES_INDICES_ON and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        elif node.op_type == "Gather" and _axis(node) == 0 and node.input[0] in rows and node.input[1] in origin:
            name = origin[node.input[1]]
            limits[name] = min(rows[node.input[0]], limits.get(name, rows[node.input[0]]))
    return limits


def refuse_beyond(limits: Mapping[str, int], batch: Batch) -> None:
    """Raises ProblemFound for the first input with an index that no row has."""
    for name, rows in limits.items():
        values = batch.get(name)
        if values is None or not np.issubdtype(values.dtype, np.integer) or not values.size:
            continue
        low, high = int(values.min()), int(values.max())
        if low < -rows or high >= rows:
            found = high if high >= rows else low
            raise refuse(
                "calibration_index_out_of_range",
                f"{quoted(name)} holds {found}; the model looks it up in a table of {rows} rows.",
                entry=name,
                hint="Use the tokenizer or vocabulary that belongs to this model.",
            )


def _axis(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "axis"), 0)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant":
        return None
    return next((a.t for a in node.attribute if a.name == "value"), None)
