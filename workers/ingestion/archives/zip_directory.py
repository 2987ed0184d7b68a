"""The directory of a zip: one record for each entry, of a kind that we open."""

import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

from app.contracts.problem import refuse
from workers.ingestion.archives.packed_file import PackedFile
from workers.ingestion.archives.zip_end import Directory
from workers.ingestion.archives.zip_extra import decoded_name, parse_extra, widened

STORED, DEFLATED = 0, 8
DESCRIPTOR_FLAG = 1 << 3
"""Sizes and checksum follow the data, since the writer could not go back."""

_RECORD = struct.Struct("<4s6H3L5H2L")
_MAGIC = b"PK\x01\x02"
_ENCRYPTION_FLAGS = 1 << 0 | 1 << 6 | 1 << 13
_LAST_VERSION = 63  # of the format, times ten: the last that was published
_KNOWN_FLAGS = 0b110 | DESCRIPTOR_FLAG | 1 << 11  # how hard deflate tried; the descriptor; the name is UTF-8


class Record(NamedTuple):
    raw_name: bytes
    name: str
    """As decoded, not yet found safe."""
    flags: int
    method: int
    crc: int
    packed_bytes: int
    bytes: int
    offset: int
    """Of the local header."""

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def read_directory(packed: PackedFile, directory: Directory) -> Iterator[Record]:
    """Every record. Raises ProblemFound for what is damaged, encrypted, linked or compressed in another way."""
    position, end = directory.offset, directory.offset + directory.bytes
    for _ in range(directory.num_entries):
        if position + _RECORD.size > end:
            raise refuse("archive_corrupt", "The zip's directory has fewer entries than it says.")
        fixed = _RECORD.unpack(packed.read(position, _RECORD.size))
        variable_bytes = sum(fixed[10:13])
        position += _RECORD.size
        if fixed[0] != _MAGIC or position + variable_bytes > end:
            raise refuse("archive_corrupt", "A record of the zip's directory is damaged.")
        yield _parse(fixed, packed.read(position, variable_bytes))
        position += variable_bytes
    if position != end:
        raise refuse("archive_corrupt", "The zip's directory has more entries than it says.")


def _parse(fixed: tuple[int, ...], variable: bytes) -> Record:
    _, _, version, flags, method, _, _, crc, packed, unpacked, name_bytes, extra_bytes, _, disk, _, mode, offset = fixed
    raw_name = variable[:name_bytes]
    shown = raw_name.decode(errors="replace")
    fields = parse_extra(variable[name_bytes : name_bytes + extra_bytes], shown)
    name = decoded_name(raw_name, flags, fields)
    unpacked, packed, offset = widened((unpacked, packed, offset), fields, name)
    record = Record(raw_name, name, flags, method, crc, packed, unpacked, offset)
    _check_features(record, version, disk)
    _check_kind(record, mode >> 16)
    return record


def _check_features(record: Record, version: int, disk: int) -> None:
    if record.flags & _ENCRYPTION_FLAGS:
        raise refuse("archive_unsupported", "An entry is encrypted.", entry=record.name)
    if record.method not in {STORED, DEFLATED}:
        raise refuse(
            "archive_unsupported", f"An entry is compressed by method {record.method}, not deflate.", entry=record.name
        )
    if record.flags & ~_KNOWN_FLAGS or version > _LAST_VERSION or disk:
        raise refuse("archive_unsupported", "An entry uses a feature of zip that few readers have.", entry=record.name)
    if record.method == STORED and record.packed_bytes != record.bytes:
        raise refuse("archive_corrupt", "An entry that is stored as it is has two sizes.", entry=record.name)


def _check_kind(record: Record, mode: int) -> None:
    """`mode` is what Unix has for the file; 0 where the archive was made elsewhere."""
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        raise refuse("archive_link_not_allowed", "An entry is a symbolic link.", entry=record.name)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise refuse(
            "archive_unsupported", "An entry is neither a file nor a folder.", entry=record.name, hint="Leave it out."
        )
    if (kind == stat.S_IFDIR and not record.is_folder) or (record.is_folder and record.bytes):
        raise refuse("archive_corrupt", "An entry is a folder and a file at once.", entry=record.name)
