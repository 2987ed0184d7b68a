"""Reading and adding the constants of a graph."""

import mmap

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


def constant_of(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    """The array behind an initializer; None for anything that is computed or given at run time."""
    if value is None or not value.is_initializer() or value.is_graph_input() or value.const_value is None:
        return None
    return value.const_value.numpy()


def float_constant_of(value: ir.Value | None) -> npt.NDArray[np.float32] | None:
    """The same, for float32 only."""
    array = constant_of(value)
    return array if array is not None and array.dtype == np.float32 else None  # type: ignore[return-value]


def let_go(value: ir.Value | None) -> None:
    """Give back the memory that a weight took when it was read from a mapped file. It may be read again."""
    tensor = value and value.const_value
    if isinstance(tensor, ir.ExternalTensor) and tensor.raw is not None:
        tensor.raw.madvise(mmap.MADV_DONTNEED)


def add_constant(graph: ir.Graph, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
    """A new initializer under `name`, or under the first free name that starts with it."""
    value = ir.val(free_name(graph, name), const_value=ir.tensor(array))
    value.const_value.name = value.name  # type: ignore[union-attr]  # it was given in the line above
    graph.register_initializer(value)
    return value


def free_name(graph: ir.Graph, name: str) -> str:
    """`name`, or `name_2`, `name_3`, ... when the graph has an initializer called so."""
    candidate, number = name, 1
    while candidate in graph.initializers:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def free_value_name(graph: ir.Graph, name: str) -> str:
    """The same among all values: inputs, initializers and results."""
    taken = {v.name for v in (*graph.inputs, *graph.initializers.values())} | {v.name for n in graph for v in n.outputs}
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def drop_unused_initializers(graph: ir.Graph) -> None:
    """Forget the constants that nothing reads any more; a graph output that is one stays."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            del graph.initializers[name]
