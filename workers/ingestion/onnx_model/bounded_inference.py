"""Shape inference that follows the values of small tensors, which finds more, in bounded memory.

The format's own tool follows such values however many there are: with a ConstantOfShape of 2^40, or forty Concats of a
vector with itself, a file of a hundred bytes would take all the memory of a machine. Where the graph does not show
that its vectors are short, this is done in a process that may take little; what that does not find is not known.
"""

import math
import os
import subprocess
import sys

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import shape_inference

from workers.ingestion.onnx_model.walk import every_node

_PROBE = (sys.executable, "-I", "-m", "workers.ingestion.onnx_model.inference_probe")
"""-I: nothing is imported from the working directory, which may hold a stranger's files."""
_WALL_SECONDS = 120
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")

_GROWING = frozenset(
    {"CenterCropPad", "ConcatFromSequence", "ConstantOfShape", "Expand", "Pad", "Range", "Resize", "Tile"}
)
"""They make vectors as long as a value says. Other operators make none longer than their inputs are together."""
_MOST_VALUES = 1 << 20
"""In all vectors of a graph. Each costs the tool some hundred bytes."""


def inferred_with_values(skeleton: onnx.ModelProto, *, strict: bool = True) -> onnx.ModelProto:
    """strict: operators that contradict each other are an error. Raises what the format's tool raises."""
    plain = shape_inference.infer_shapes(skeleton, check_type=strict, strict_mode=strict)
    if not are_vectors_short(plain):
        return (_in_a_process(skeleton) if strict else None) or plain
    try:
        return shape_inference.infer_shapes(skeleton, check_type=strict, strict_mode=strict, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError):
        return plain


def are_vectors_short(inferred: onnx.ModelProto) -> bool:
    """Whether that follows from shapes alone: values are followed in tensors of one axis, and in single numbers."""
    graph = inferred.graph
    shapes = {v.name: v.type.tensor_type.shape.dim for v in (*graph.value_info, *graph.output) if _has_shape(v)}
    values = 0
    for node in every_node(inferred):
        for name in node.output:
            extents = shapes.get(name)
            known = extents is not None and all(extent.HasField("dim_value") for extent in extents)
            if extents is not None and len(extents) > 1:
                continue
            if node.op_type in _GROWING and not known:
                return False
            values += math.prod(extent.dim_value for extent in extents) if extents is not None and known else 0
    return values <= _MOST_VALUES


def _has_shape(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.HasField("shape"))


def _in_a_process(skeleton: onnx.ModelProto) -> onnx.ModelProto | None:
    """None where it took too much, or found a contradiction."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        ended = subprocess.run(
            _PROBE,
            check=False,
            input=skeleton.SerializeToString(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WALL_SECONDS,
            env={**environment, "OPENBLAS_NUM_THREADS": "1"},  # its threads would take the address space
        )
        return onnx.ModelProto.FromString(ended.stdout) if ended.returncode == 0 else None
    except (subprocess.TimeoutExpired, DecodeError):
        return None
