"""What the first entry of a zip tells about the whole, where many formats are zips.

`torch.save`, `torch.jit.save` and `torch.export.save` write through one class of libtorch, which puts everything under
one folder and fills an extra field called FB until the content is aligned. So its files are known by their mark, and
programs of `torch.export` by what they hold first. Names and order: torch 2.13.
"""

import re
import struct
from enum import StrEnum
from typing import NamedTuple

MAGIC = b"PK\x03\x04"
_FIXED = struct.Struct("<4s5H3I2H")
"""Of a local file header; the name follows, and then the extra fields."""
_TORCH_MARK = b"FB"

_EXPORTED = re.compile(
    r"[^/]+/(?:archive_(?:format|version)|models/|data/(?:weights|constants|sample_inputs|aotinductor)/)"
)
_EXPORTED_UNMARKED = re.compile(r"[^/]+/archive_(?:format|version)|serialized_exported_program\.json")
_PICKLED = re.compile(r"(?:[^/]+/)?(?:data\.pkl|constants\.pkl|code/__torch__.*)|[^/]+/(?:version|data/\d+)")
_KERAS = re.compile(r"metadata\.json|model\.weights\.h5")


class ZipKind(StrEnum):
    """What a zip is, as far as its beginning tells."""

    TORCH_EXPORT = "a program of torch.export (.pt2)"
    TORCH_PICKLE = "a PyTorch archive (.pt, .pth, .bin or TorchScript)"
    KERAS = "a Keras model"
    SAVED_MODEL = "a TensorFlow SavedModel"
    OFFICE = "an Office document"
    ARRAYS = "an .npz archive of arrays"
    OTHER = "a zip archive"


class _Entry(NamedTuple):
    name: str
    extra: bytes


def zip_kind(head: bytes, *, whole: bool) -> ZipKind | None:
    """None if the zip ends within its first entry's name. `whole`: the file has no more bytes than these."""
    entry = _first_entry(head)
    if entry is None:
        return None if whole else ZipKind.OTHER
    if entry.extra.startswith(_TORCH_MARK):
        return ZipKind.TORCH_EXPORT if _EXPORTED.match(entry.name) else ZipKind.TORCH_PICKLE
    return _by_name(entry.name)


def _by_name(name: str) -> ZipKind:
    if _EXPORTED_UNMARKED.fullmatch(name):
        return ZipKind.TORCH_EXPORT
    if _PICKLED.fullmatch(name):
        return ZipKind.TORCH_PICKLE
    if _KERAS.fullmatch(name):
        return ZipKind.KERAS
    if name.endswith("saved_model.pb"):
        return ZipKind.SAVED_MODEL
    if name == "[Content_Types].xml":
        return ZipKind.OFFICE
    return ZipKind.ARRAYS if name.endswith(".npy") else ZipKind.OTHER


def _first_entry(head: bytes) -> _Entry | None:
    if len(head) < _FIXED.size:
        return None
    *_, name_bytes, extra_bytes = _FIXED.unpack_from(head)
    name = head[_FIXED.size : _FIXED.size + name_bytes]
    if len(name) < name_bytes:
        return None
    start = _FIXED.size + name_bytes
    return _Entry(name.decode("utf-8", "replace"), head[start : start + extra_bytes])
