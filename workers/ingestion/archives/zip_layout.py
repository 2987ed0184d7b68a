"""What lies in a zip besides its directory: each entry's own header and data, one after the other without gaps.

The directory and the headers repeat each other, and readers believe one or the other; here they must agree. Data that
two entries share makes a small archive unpack to anything; data that none has is hidden from some readers.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.archives.packed_file import PackedFile
from workers.ingestion.archives.zip_directory import DESCRIPTOR_FLAG, Record
from workers.ingestion.archives.zip_extra import FULL_32, decoded_name, parse_extra, widened

_HEADER = struct.Struct("<4s5H3L2H")
_MAGIC = b"PK\x03\x04"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"
_DEFLATE_EFFORT = 0b110  # a hint without meaning for readers


class _Header(NamedTuple):
    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int
    bytes: int
    header_bytes: int


def find_data(packed: PackedFile, records: Sequence[Record], *, end: int) -> list[int]:
    """Where each record's data begins. The records, in the order of their offsets, must fill the file up to `end`."""
    first, *following = [*(record.offset for record in records), end]
    if first != 0:
        raise refuse("archive_corrupt", "The zip does not begin with its first entry.")
    return [_data_offset(packed, record, after) for record, after in zip(records, following, strict=True)]


def _data_offset(packed: PackedFile, record: Record, end: int) -> int:
    # the least that it takes: told before its header is read, since the headers of a bomb contradict its directory
    if record.offset + _HEADER.size + len(record.raw_name) + record.packed_bytes > end:
        raise _overlap(record)
    header = _read_header(packed, record)
    _compare(header, record)
    data = record.offset + header.header_bytes
    data_end = data + record.packed_bytes
    if data_end > end:
        raise _overlap(record)
    gap = packed.read(data_end, end - data_end) if end - data_end <= 24 else None
    if gap not in (_descriptors(record) if record.flags & DESCRIPTOR_FLAG else {b""}):
        raise refuse(
            "archive_corrupt", "Between two entries lies something that belongs to neither.", entry=record.name
        )
    return data


def _read_header(packed: PackedFile, record: Record) -> _Header:
    fixed = _HEADER.unpack(packed.read(record.offset, _HEADER.size, entry=record.name))
    magic, _, flags, method, _, _, crc, packed_bytes, unpacked, name_bytes, extra_bytes = fixed
    if magic != _MAGIC:
        raise refuse("archive_corrupt", "An entry does not begin where the directory says.", entry=record.name)
    variable = packed.read(record.offset + _HEADER.size, name_bytes + extra_bytes, entry=record.name)
    raw_name, fields = variable[:name_bytes], parse_extra(variable[name_bytes:], record.name)
    unpacked, packed_bytes = widened((unpacked, packed_bytes), fields, record.name)
    name = decoded_name(raw_name, flags, fields)
    return _Header(raw_name, name, flags, method, crc, packed_bytes, unpacked, _HEADER.size + len(variable))


def _compare(header: _Header, record: Record) -> None:
    if (header.raw_name, header.name) != (record.raw_name, record.name):
        raise refuse("archive_corrupt", "An entry has another name in the directory.", entry=record.name)
    if (header.flags ^ record.flags) & ~_DEFLATE_EFFORT or header.method != record.method:
        raise refuse("archive_corrupt", "An entry is stored otherwise than the directory says.", entry=record.name)
    sizes = [
        (header.crc, record.crc),
        (header.packed_bytes, record.packed_bytes),
        (header.bytes, record.bytes),
    ]
    postponed = {0, FULL_32} if record.flags & DESCRIPTOR_FLAG else set()
    if any(here != there and here not in postponed for here, there in sizes):
        raise refuse("archive_corrupt", "An entry has another size or checksum in the directory.", entry=record.name)


def _descriptors(record: Record) -> set[bytes]:
    """What may follow the data: with or without its magic, with sizes of 32 or 64 bits."""
    wide = struct.pack("<LQQ", record.crc, record.packed_bytes, record.bytes)
    forms = {wide}
    if max(record.packed_bytes, record.bytes) <= FULL_32:
        forms.add(struct.pack("<LLL", record.crc, record.packed_bytes, record.bytes))
    return forms | {_DESCRIPTOR_MAGIC + form for form in forms}


def _overlap(record: Record) -> ProblemFound:
    return refuse(
        "archive_bomb",
        "An entry shares its bytes with another or with the directory.",
        entry=record.name,
        hint="Pack the files anew.",
    )
