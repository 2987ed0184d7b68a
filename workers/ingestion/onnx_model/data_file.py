"""Writing the weights of a large model into one file, in the order of the model, a few MiB in memory at a time."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import numpy_helper

from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.external_data import extent_of
from workers.ingestion.onnx_model.inline_data import is_large_weight
from workers.quantization.graph.skeleton import is_external, tensor_bytes

_PAGE_BYTES = 4096  # what ONNX advises: a weight that starts on a page can be mapped as it is


def move_weights_out(model: onnx.ModelProto, files: FilesBeside, path: Path) -> None:
    """The model's initializers refer to `path` from then on, except small ones."""
    written: dict[Hashable, int] = {}
    with path.open("wb") as file:
        for tensor in model.graph.initializer:
            if is_large_weight(tensor):
                _move(tensor, files, file, written)


def _move(tensor: onnx.TensorProto, files: FilesBeside, file: BinaryIO, written: dict[Hashable, int]) -> None:
    length = tensor_bytes(tensor)
    shared = extent_of(tensor) if is_external(tensor) else None
    offset = written.get(shared)
    if offset is None:
        offset = -(-file.tell() // _PAGE_BYTES) * _PAGE_BYTES
        file.seek(offset)
        file.writelines(_data(tensor, files))
    if shared is not None:
        written[shared] = offset
    moved = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    moved.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": Path(file.name).name, "offset": str(offset), "length": str(length)}.items():
        moved.external_data.add(key=key, value=value)
    tensor.CopyFrom(moved)


def _data(tensor: onnx.TensorProto, files: FilesBeside) -> Iterable[bytes]:
    if is_external(tensor):
        return files.chunks(*extent_of(tensor))
    if tensor.HasField("raw_data"):
        return [tensor.raw_data]
    return [numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data]
