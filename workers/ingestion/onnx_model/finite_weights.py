"""Weights are numbers: NaN and infinity are what is left of a model whose training or conversion failed.

Two kinds of infinity are meant, and pass: a single constant, and a mask, which holds negative infinity beside zeros and
is added to scores before a softmax.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from app.contracts.problem import quoted, refuse
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.external_data import extent_of
from workers.quantization.graph.skeleton import is_external

_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)


def refuse_nonfinite(tensor: onnx.TensorProto, files: FilesBeside) -> None:
    """Raises ProblemFound. files: where external data lies."""
    if tensor.data_type in _FLOATS and not _is_sound(_values(tensor, files), single=math.prod(tensor.dims) == 1):
        detail = f"Tensor {quoted(tensor.name)} holds NaN or infinite values."
        raise refuse("nonfinite_weights", detail, entry=tensor.name or "(unnamed)")


def _is_sound(parts: Iterator[npt.NDArray[Any]], *, single: bool) -> bool:
    masks = weighs = False
    for part in parts:
        values = part if part.dtype == np.float64 else part.astype(np.float32, copy=False)
        finite = np.isfinite(values)
        if not finite.all():
            masks = True
            rest = values[~finite]
            if np.isnan(rest).any() or not (single or np.isneginf(rest).all()):
                return False
            values = values[finite]
        weighs = weighs or bool(values.any())
    return not (masks and weighs)


def _values(tensor: onnx.TensorProto, files: FilesBeside) -> Iterator[npt.NDArray[Any]]:
    if not is_external(tensor):
        yield numpy_helper.to_array(tensor)
        return
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    for chunk in files.chunks(*extent_of(tensor)):
        yield np.frombuffer(chunk, dtype)
