"""Store float32 constants in the half precision in which they came.

    constant of float32  ->  constant of float16 or bfloat16, Cast

`fold_constants` computes what lies behind such a Cast, so that weights are seen. Those that stay float would make the
file larger than the one that was uploaded.

requires: nothing else will change the graph
ensures: outputs unchanged to the last bit: only constants whose every value the half type holds are stored in it
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.quantization.graph.constants import add_constant, float_constant_of, free_value_name

_SMALLEST_BYTES = 1024
"""Below, the Cast takes as much as is saved."""

HALF_TYPES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def store_in_half(model: ir.Model, types: Collection[ir.DataType]) -> list[str]:
    """Change `model` in place. types: of HALF_TYPES, those that the upload stores. Returns the constants' names."""
    touched = []
    for name, value in list(model.graph.initializers.items()):
        array = float_constant_of(value)
        if array is None or array.nbytes < _SMALLEST_BYTES or value.is_graph_output() or not value.uses():
            continue
        half = next((dtype for dtype in HALF_TYPES if dtype in types and _holds(dtype, array)), None)
        if half is not None:
            _store(model.graph, value, array.astype(half.numpy()))
            touched.append(name)
    return touched


def _holds(dtype: ir.DataType, array: npt.NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(dtype.numpy()).astype(np.float32), array))


def _store(graph: ir.Graph, value: ir.Value, array: npt.NDArray[np.generic]) -> None:
    assert value.name is not None
    stored = add_constant(graph, free_value_name(graph, f"{value.name}_half"), array)
    cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, name=f"{value.name}_widen")
    ir.convenience.replace_all_uses_with(value, cast.outputs[0])
    del graph.initializers[value.name]
    cast.outputs[0].name, cast.outputs[0].shape = value.name, value.shape
    cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(graph[0], cast)
