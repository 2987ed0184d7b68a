"""Models that are told which part of their input is padding, which ranges that are found at run time are not."""

import re

import onnx_ir as ir

from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.problem import quoted
from workers.protocol.reporter import Reporter
from workers.quantization.graph.weighted_operators import is_standard

_LENGTHS = {"LSTM": (4,), "GRU": (4,), "RNN": (4,), "ReverseSequence": (1,), "Attention": (3, 6)}
"""Inputs that say where each sequence ends."""

_NAMED_MASK = re.compile(r"attention_?mask|pad(ding)?_?mask", re.IGNORECASE)


def warn_of_padding(graph: ir.Graph, model: ModelInspection, reporter: Reporter) -> None:
    """requires: `lift_constants` ran"""
    mask = next((spec for spec in model.inputs if _is_mask(spec)), None)
    node = next((n for n in ir.traversal.RecursiveGraphIterator(graph) if _reads_lengths(n)), None)
    if mask is not None:
        told = f"the input {quoted(mask.name)}"
    elif node is not None:
        told = f"the lengths that {quoted(node.name or node.op_type)} reads"
    else:
        return
    reporter.warn(
        "padding_enters_ranges",
        f"The model is told by {told} what is padding, but ranges that are found at run time span padding as well: "
        "other values there, or more of it, change the answers. Fill it with the same values as in the data that was "
        "measured, or choose a static recipe, whose ranges are fixed.",
    )


def _is_mask(spec: TensorSpec) -> bool:
    """A mask of another name may be one of pixels, unless it has an element for each position and nothing else."""
    return bool(_NAMED_MASK.search(spec.name)) or ("mask" in spec.name.lower() and len(spec.shape) == 2)


def _reads_lengths(node: ir.Node) -> bool:
    if not is_standard(node):
        return False
    read = [node.inputs[i] for i in _LENGTHS.get(node.op_type, ()) if i < len(node.inputs)]
    return any(value is not None and _follows_from_data(value) for value in read)


def _follows_from_data(value: ir.Value) -> bool:
    """Not so are constants, and what is computed from shapes alone: there no sequence ends before another."""
    seen: set[ir.Value] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        producer = current.producer()
        if producer is None:
            if not current.is_initializer():
                return True
        elif producer.op_type not in {"Shape", "Size"}:
            pending += [v for v in producer.inputs if v is not None and v not in seen]
            seen.update(v for v in producer.inputs if v is not None)
    return False
