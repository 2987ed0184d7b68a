"""What tensors say about data outside of the model's file, and whether it is true.

Rules, for every tensor that says it has such data, wherever in the model it is
1. Words: location, offset, length and checksum, each at most once.
2. `location` names a plain file in the model's folder (`beside`).
3. The extent is as long as type and shape ask for, and lies within the file. Nothing is kept in the model as well.
4. `checksum`, where there is one, is the SHA-1 of the whole file.
5. Two extents of a file are the same, or apart: otherwise a small file could stand for any amount of weights.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import onnx

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.onnx_model.beside import FilesBeside, plain_name
from workers.ingestion.onnx_model.walk import every_tensor
from workers.quantization.graph.skeleton import is_external, is_known_type, tensor_bytes

_WORDS = frozenset({"location", "offset", "length", "checksum"})
_DATA_IN_THE_MODEL = frozenset(
    {"raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data", "segment"}
)
_MOST_DIGITS = 18  # 2^63 has 19
_SAVE_AGAIN = "Save it again: onnx.save_model(onnx.load(path), out, save_as_external_data=True)."


class Extent(NamedTuple):
    location: str
    offset: int
    length: int


def check_external_data(model: onnx.ModelProto, files: FilesBeside) -> None:
    """Raises ProblemFound for the first rule that is broken.

    requires: tensors with extents of 0 and more
    """
    external = [tensor for tensor in every_tensor(model) if is_external(tensor)]
    _require_apart({_checked(tensor, files) for tensor in external})


def extent_of(tensor: onnx.TensorProto) -> Extent:
    """Where the tensor says its data lies. Raises ProblemFound for broken words, or a length other than its own."""
    told = _told(tensor)
    needed = tensor_bytes(tensor)
    offset, length = _number(tensor, told.get("offset", "0")), _number(tensor, told.get("length", str(needed)))
    if length != needed:
        raise _invalid(tensor, f"is said to take {length} bytes, where its shape needs {needed}")
    return Extent(plain_name(told.get("location", "")), offset, needed)


def _checked(tensor: onnx.TensorProto, files: FilesBeside) -> Extent:
    size = files.size(_told(tensor).get("location", ""))
    if tensor.data_type == onnx.TensorProto.STRING or not is_known_type(tensor):
        raise _invalid(tensor, "has no type whose values could lie in another file")
    if any(descriptor.name in _DATA_IN_THE_MODEL for descriptor, _ in tensor.ListFields()):
        raise _invalid(tensor, "has its data both in the model and in another file")
    extent = extent_of(tensor)
    if extent.offset + extent.length > size:
        what = f"needs {extent.length} bytes from {extent.offset} of {quoted(extent.location)}, which has {size}"
        raise _invalid(tensor, what, hint="The file may be cut off.")
    checksum = _told(tensor).get("checksum")
    if checksum is not None and checksum.lower() != files.sha1(extent.location):
        detail = f"The file {quoted(extent.location)} is not the one whose checksum the model gives."
        raise refuse("onnx_checksum_mismatch", detail, entry=extent.location)
    return extent


def _told(tensor: onnx.TensorProto) -> dict[str, str]:
    told: dict[str, str] = {}
    for entry in tensor.external_data:
        if entry.key not in _WORDS or entry.key in told:
            detail = f"Tensor {quoted(tensor.name)} describes its data with {quoted(entry.key)}"
            twice = " twice." if entry.key in told else ", which is no word of the format."
            raise refuse("onnx_external_data_bad_key", f"{detail}{twice}", entry=tensor.name or "(unnamed)")
        told[entry.key] = entry.value
    return told


def _number(tensor: onnx.TensorProto, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise _invalid(tensor, f"gives {quoted(text)} as an offset or a length")
    return int(text)


def _require_apart(extents: Iterable[Extent]) -> None:
    for one, other in itertools.pairwise(sorted(e for e in extents if e.length)):
        if one.location == other.location and one.offset + one.length > other.offset:
            detail = f"Two tensors overlap in the file {quoted(one.location)}, at offset {other.offset}."
            raise refuse("onnx_invalid", detail, entry=one.location, hint="Tensors may share all their data or none.")


def _invalid(tensor: onnx.TensorProto, what: str, *, hint: str | None = None) -> ProblemFound:
    detail = f"Tensor {quoted(tensor.name)} {what}."
    return refuse("onnx_invalid", detail, entry=tensor.name or "(unnamed)", hint=hint or _SAVE_AGAIN)
