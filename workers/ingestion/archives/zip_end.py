"""The end of a zip, which says where its directory is: right before this end, after which nothing follows.

A comment is allowed, since GitHub writes one. A prefix (a program that unpacks itself) and trailing bytes are not:
readers disagree on where such an archive begins.
"""

import struct
from typing import NamedTuple

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.packed_file import PackedFile

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END_MAGIC, _END_64_MAGIC, _LOCATOR_64_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_MAX_COMMENT_BYTES = 0xFFFF
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF  # what stands in a field whose value is in the zip64 record


class Directory(NamedTuple):
    offset: int
    bytes: int
    num_entries: int


class _End(NamedTuple):
    disk: int
    directory_disk: int
    entries_on_disk: int
    entries: int
    directory_bytes: int
    directory_offset: int


def find_directory(packed: PackedFile, limits: ArchiveLimits) -> Directory:
    """Where the directory is. Raises ProblemFound."""
    position, end = _read_end(packed)
    if position >= _LOCATOR_64.size and packed.read(position - _LOCATOR_64.size, 4) == _LOCATOR_64_MAGIC:
        position, end = _read_end_64(packed, position - _LOCATOR_64.size, end)
    if end.disk or end.directory_disk or end.entries_on_disk != end.entries:
        raise refuse("archive_unsupported", "The zip is split over several files.", hint="Pack it as one file.")
    if end.entries > limits.max_entries:
        raise refuse(
            "archive_too_many_entries", f"The zip has {end.entries} entries; {limits.max_entries} is the limit."
        )
    if end.directory_bytes > limits.max_directory_bytes:
        raise refuse(
            "archive_too_many_entries",
            f"The zip's directory takes {end.directory_bytes} bytes; {limits.max_directory_bytes} is the limit.",
        )
    if end.directory_offset + end.directory_bytes != position:
        raise _corrupt("The zip's directory does not lie where its end says")
    return Directory(end.directory_offset, end.directory_bytes, end.entries)


def _read_end(packed: PackedFile) -> tuple[int, _End]:
    """The last end record, and where it is. A comment that holds another one could be read in two ways."""
    tail_bytes = min(packed.size, _END.size + _MAX_COMMENT_BYTES)
    start = packed.size - tail_bytes
    tail = packed.read(start, tail_bytes)
    found = tail.rfind(_END_MAGIC)
    if found == -1 or found + _END.size > tail_bytes:
        raise _corrupt("The zip has no end: it was cut off, or something was appended")
    _, *fields, comment_bytes = _END.unpack_from(tail, found)
    if found + _END.size + comment_bytes != tail_bytes:
        raise _corrupt("Bytes follow the zip's end")
    return start + found, _End(*fields)


def _read_end_64(packed: PackedFile, locator: int, end: _End) -> tuple[int, _End]:
    """The wider record, which must agree with the narrow one where that has room."""
    _, disk, offset, disks = _LOCATOR_64.unpack(packed.read(locator, _LOCATOR_64.size))
    if disk or disks > 1:
        raise refuse("archive_unsupported", "The zip is split over several files.", hint="Pack it as one file.")
    if offset + _END_64.size != locator:
        raise _corrupt("The zip64 end does not lie where its locator says")
    magic, record_bytes, _, _, *fields = _END_64.unpack(packed.read(offset, _END_64.size))
    if magic != _END_64_MAGIC or record_bytes != _END_64.size - 12:
        raise _corrupt("The zip64 end is damaged")
    wide = _End(*fields)
    full = (_FULL_16, _FULL_16, _FULL_16, _FULL_16, _FULL_32, _FULL_32)
    if any(narrow not in {true, sentinel} for narrow, true, sentinel in zip(end, wide, full, strict=True)):
        raise _corrupt("The zip has two ends that contradict each other")
    return offset, wide


def _corrupt(what: str) -> ProblemFound:
    return refuse("archive_corrupt", f"{what}.")
