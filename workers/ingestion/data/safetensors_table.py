"""A safetensors file whose tensors are the columns: [samples, ...] each, read row by row from where they lie."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import LeftOut
from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.checkpoint.safetensors_header import StoredTensor, tensors_of
from workers.ingestion.data.samples import LABELS, Batch, SampleColumn
from workers.ingestion.data.table import MAX_COLUMNS, Piece, common_length, left_out, refuse_unusable

_LENGTH_BYTES = 8
_ENTRY = "the data set"
_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64",
}  # fmt: skip
"""Those that numpy has: bfloat16 and the 8-bit floats are no inputs of an ONNX model that people feed."""


class _Array(NamedTuple):
    name: str
    dtype: np.dtype[np.generic]
    """Little endian, as the file is."""
    shape: tuple[int, ...]
    start: int
    """In the file."""

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize

    @property
    def sample_column(self) -> SampleColumn:
        return SampleColumn(self.name, self.dtype.name, self.shape)


@dataclass(frozen=True)
class SafetensorsTable:
    path: Path
    arrays: tuple[_Array, ...]
    num_samples: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def columns(self) -> tuple[SampleColumn, ...]:
        return tuple(a.sample_column for a in self.arrays)

    @property
    def row_bytes(self) -> int:
        return sum(a.row_bytes for a in self.arrays)

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        arrays = [a for a in self.arrays if (a.shape[0] == self.num_samples if names is None else a.name in names)]
        total = self.num_samples if limit is None else min(limit, self.num_samples)
        with self.path.open("rb") as file:
            for first in range(0, total, rows):
                count = min(rows, total - first)
                yield {a.name: _rows(file, a, first, count) for a in arrays}

    def pieces(self, *, chunk_bytes: int) -> Iterator[Piece]:
        """Array by array: memory stays flat however long a row is."""
        with self.path.open("rb") as file:
            for array in self.arrays:
                elements = max(1, chunk_bytes // array.dtype.itemsize)
                total = array.row_bytes * array.shape[0] // array.dtype.itemsize
                for done in range(0, total, elements):
                    values = _read(file, array, done * array.dtype.itemsize, min(elements, total - done))
                    yield Piece(array.name, done, values)

    def place(self, row: int) -> str:
        return f"Sample {row}"

    def only(self, names: Collection[str]) -> "SafetensorsTable":
        arrays = tuple(a for a in self.arrays if a.name in names)
        return replace(self, arrays=arrays, num_samples=common_length([a.sample_column for a in arrays]))


def open_safetensors(path: Path, *, max_unpacked_bytes: int | None = None) -> SafetensorsTable:
    """Read the header. Raises ProblemFound."""
    size = path.stat().st_size
    if max_unpacked_bytes is not None and size > max_unpacked_bytes:
        detail = f"The file has {size} bytes; the limit is {max_unpacked_bytes}."
        raise refuse("calibration_too_large", detail)
    with path.open("rb") as file:
        tensors = tensors_of(file, size, entry=_ENTRY)
        data = _LENGTH_BYTES + int.from_bytes(os.pread(file.fileno(), _LENGTH_BYTES, 0), "little")
    if not tensors:
        raise refuse("calibration_empty", "The file holds no tensors.")
    if len(tensors) > MAX_COLUMNS:
        raise refuse("safetensors_invalid", f"The file holds {len(tensors)} tensors; {MAX_COLUMNS} is the limit.")
    arrays, others = _arrays(tensors, data)
    return SafetensorsTable(path, arrays, common_length([a.sample_column for a in arrays]), others)


def _arrays(tensors: Sequence[StoredTensor], data: int) -> tuple[tuple[_Array, ...], tuple[LeftOut, ...]]:
    """Those that can be samples, and the others."""
    arrays: list[_Array] = []
    refused: dict[str, ProblemFound] = {}
    for tensor in tensors:
        try:
            arrays.append(_array(tensor, data))
        except ProblemFound as found:
            if tensor.name == LABELS:
                raise
            refused[tensor.name] = found
    refuse_unusable([a.name for a in arrays], list(refused.values()))
    return tuple(arrays), tuple(left_out(name, found) for name, found in refused.items())


def _array(tensor: StoredTensor, data: int) -> _Array:
    if tensor.dtype not in _DTYPES:
        raise refuse(
            "calibration_dtype_mismatch",
            f"A tensor has dtype {tensor.dtype}; bool, integers and float16/32/64 are supported.",
            entry=tensor.name,
        )
    if not tensor.shape:
        detail = "A tensor has no axis of samples: it is a single number."
        raise refuse("calibration_shape_mismatch", detail, entry=tensor.name)
    if 0 in tensor.shape:
        raise refuse("calibration_empty", "A tensor holds no elements.", entry=tensor.name)
    dtype: np.dtype[np.generic] = np.dtype(_DTYPES[tensor.dtype]).newbyteorder("<")
    return _Array(tensor.name, dtype, tensor.shape, data + tensor.begin)


def _rows(file: BinaryIO, array: _Array, first: int, count: int) -> npt.NDArray[np.generic]:
    elements = count * array.row_bytes // array.dtype.itemsize
    return _read(file, array, first * array.row_bytes, elements).reshape(count, *array.shape[1:])


def _read(file: BinaryIO, array: _Array, offset: int, elements: int) -> npt.NDArray[np.generic]:
    """The header was held to the file's length, so that all of it is there."""
    file.seek(array.start + offset)
    values = np.frombuffer(file.read(elements * array.dtype.itemsize), array.dtype)
    return _checked(values, array.name)


def _checked(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.generic]:
    """A byte other than 0 and 1 is no boolean: what reads it as one may take it for both."""
    if values.dtype.kind == "b" and values.size and int(values.view(np.uint8).max()) > 1:
        raise refuse("safetensors_invalid", "A boolean tensor holds bytes other than 0 and 1.", entry=name)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
