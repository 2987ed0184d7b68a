"""The extra fields of a zip's entries, and the two that matter: wide sizes and names in UTF-8."""

import struct
import zlib

from app.contracts.problem import refuse

FULL_32 = 0xFFFFFFFF
"""Stands in a field of 32 bits whose value is in the zip64 field."""

_ZIP64, _UNICODE_NAME = 0x0001, 0x7075
_UTF8_FLAG = 1 << 11


def parse_extra(extra: bytes, name: str) -> dict[int, bytes]:
    """Field id -> body. Up to three bytes at the end may be padding: aligning tools leave them."""
    fields: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(extra):
        kind, count = struct.unpack_from("<HH", extra, position)
        body, position = position + 4, position + 4 + count
        if position > len(extra) or (kind in fields and kind in {_ZIP64, _UNICODE_NAME}):
            raise refuse("archive_corrupt", "An entry's extra fields are damaged.", entry=name)
        fields[kind] = extra[body:position]
    return fields


def widened(values: tuple[int, ...], fields: dict[int, bytes], name: str) -> tuple[int, ...]:
    """The true values of fields of 32 bits: those that are full lie in the zip64 field, in the same order."""
    body = fields.get(_ZIP64)
    if body is None:
        return values  # a value may really be 0xFFFFFFFF
    wide = []
    for value in values:
        if value != FULL_32:
            wide.append(value)
            continue
        if len(body) < 8:
            raise refuse("archive_corrupt", "An entry's zip64 field is too short.", entry=name)
        wide.append(int.from_bytes(body[:8], "little"))
        body = body[8:]
    return tuple(wide)


def decoded_name(raw: bytes, flags: int, fields: dict[int, bytes]) -> str:
    """An entry's name. Where the archive does not say how it is written: UTF-8, as Macs do, else the DOS code page."""
    told = _unicode_name(raw, fields)
    if flags & _UTF8_FLAG:
        name = _utf8(raw)
        if told is not None and told != name:
            raise refuse("archive_corrupt", "An entry has two names.", entry=name)
        return name
    if told is not None:
        return told
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _unicode_name(raw: bytes, fields: dict[int, bytes]) -> str | None:
    """What Info-ZIP adds. It counts only while it fits the plain name, which other tools may have changed."""
    body = fields.get(_UNICODE_NAME, b"")
    if len(body) < 5 or body[0] != 1 or int.from_bytes(body[1:5], "little") != zlib.crc32(raw):
        return None
    return _utf8(body[5:])


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        shown = raw.decode(errors="replace")
        raise refuse("archive_bad_name", "An entry's name is not valid UTF-8.", entry=shown) from error
