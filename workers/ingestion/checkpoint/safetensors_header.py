"""What a safetensors file says it holds, held to its length, before any library opens it.

    8 bytes   length of the header, little endian
    header    JSON: {name: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, "__metadata__": {text: text}}
    data      all tensors, one after the other: no gap, no overlap, nothing behind the last

Stricter than the library where another reader could see another file: nothing is named twice, a tensor has no other
members than these three, and begins at a multiple of its elements' size within the data.
"""

import math
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeGuard

from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.strict_json import NamedTwice, NotStrictJson, parse_json

MAX_HEADER_BYTES = 100_000_000
"""The library's own limit."""

_LENGTH_BYTES = 8
_SMALLEST_HEADER = 2
_MAX_NAME_CHARACTERS = 500
_MAX_DIMENSIONS = 16
_MAX_EXTENT = 1 << 62
_DEPTH = 4  # of the format: header, tensor, list of extents; one more makes the error that of the library
_METADATA = "__metadata__"
_MEMBERS = frozenset({"dtype", "shape", "data_offsets"})

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Of one element."""


class StoredTensor(NamedTuple):
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """In the file's data, of which `end` is the first byte behind the tensor."""
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def read_tensors(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of a file, in the order of their data. Raises ProblemFound."""
    with path.open("rb") as stream:
        return tensors_of(stream, os.fstat(stream.fileno()).st_size, entry=path.name)


def tensors_of(stream: BinaryIO, file_bytes: int, *, entry: str) -> tuple[StoredTensor, ...]:
    """As `read_tensors`, from an open file. `entry` is its name in a problem."""
    header_bytes = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    left = file_bytes - _LENGTH_BYTES
    if not _SMALLEST_HEADER <= header_bytes <= min(left, MAX_HEADER_BYTES):
        detail = f"The first 8 bytes of {quoted(entry)} are no length of a header that the file could hold."
        raise refuse("safetensors_invalid", detail, entry=entry)
    found = [_tensor(name, facts, entry) for name, facts in _members(stream.read(header_bytes), entry)]
    found.sort(key=lambda tensor: (tensor.begin, tensor.end))
    _check_layout(found, left - header_bytes, entry)
    return tuple(found)


def _members(header: bytes, entry: str) -> list[tuple[str, object]]:
    """The header's tensors as it spells them, without its metadata."""
    if not header.startswith(b"{"):  # white space before it, which JSON allows, is none of the format
        raise _broken(entry, "does not begin with a header of JSON")
    try:
        found = parse_json(header, max_depth=_DEPTH)
    except NamedTwice as twice:
        detail = f"The header of {quoted(entry)} names {quoted(twice.name)} twice."
        raise refuse("safetensors_duplicate_key", detail, entry=entry) from twice
    except NotStrictJson as error:
        raise _broken(entry, f"has no sound header: {error}") from error
    assert isinstance(found, dict)
    metadata = found.pop(_METADATA, None)
    if metadata is not None and not _is_text_to_text(metadata):
        raise _broken(entry, "has metadata that is not text")
    return list(found.items())


def _is_text_to_text(metadata: object) -> bool:
    return isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())


def _tensor(name: str, facts: object, entry: str) -> StoredTensor:
    if not name.isprintable() or not 0 < len(name) <= _MAX_NAME_CHARACTERS:
        raise _broken(entry, f"has a tensor with an unusable name: {quoted(name)}")
    if not isinstance(facts, dict) or facts.keys() != _MEMBERS:
        raise _broken(entry, f"does not say dtype, shape and data_offsets, and only these, of {quoted(name)}")
    dtype, shape, offsets = facts["dtype"], facts["shape"], facts["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _broken(entry, f"gives {quoted(name)} an unknown dtype")
    if not _are_extents(shape) or len(shape) > _MAX_DIMENSIONS or math.prod(shape) > _MAX_EXTENT:
        raise _broken(entry, f"gives {quoted(name)} an impossible shape")
    if not _are_extents(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _broken(entry, f"gives {quoted(name)} impossible offsets")
    found = StoredTensor(name, dtype, tuple(shape), *offsets)
    if found.elements * BITS[dtype] != (found.end - found.begin) * 8:
        raise _broken(entry, f"gives {quoted(name)} {found.end - found.begin} bytes, which its shape does not take")
    return found


def _are_extents(found: object) -> TypeGuard[list[int]]:
    return isinstance(found, list) and all(type(extent) is int and 0 <= extent <= _MAX_EXTENT for extent in found)


def _check_layout(tensors: list[StoredTensor], data_bytes: int, entry: str) -> None:
    """Each begins where the one before ends, and the last ends with the file."""
    reached = 0
    for tensor in tensors:
        if tensor.begin != reached:
            what = "overlaps another tensor" if tensor.begin < reached else "leaves a hole before it"
            raise _broken(entry, f"holds {quoted(tensor.name)} where it {what}")
        if tensor.begin * 8 % BITS[tensor.dtype]:
            raise _broken(entry, f"holds {quoted(tensor.name)} at an odd place for its dtype")
        reached = tensor.end
    if reached != data_bytes:
        raise _broken(entry, f"holds {data_bytes} bytes of data where its tensors take {reached}")


def _broken(entry: str, what: str) -> ProblemFound:
    return refuse("safetensors_invalid", f"{quoted(entry)} {what}.", entry=entry)
