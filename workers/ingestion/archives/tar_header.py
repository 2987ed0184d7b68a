"""One header of a tar: 512 bytes, in the POSIX form (ustar) or GNU's."""

import struct
from typing import NamedTuple

from app.contracts.problem import ProblemFound, refuse

BLOCK_BYTES = 512

_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_MAGIC_POSIX, _MAGIC_GNU = b"ustar\x0000", b"ustar  \x00"
_MAGIC_AT = slice(257, 265)
_CHECKSUM_AT = slice(148, 156)
_WIDE, _WIDE_NEGATIVE = 0x80, 0xFF  # GNU's mark of a number in binary


class TarHeader(NamedTuple):
    raw_name: bytes
    kind: bytes
    """One byte; b"0" is a file."""
    bytes: int


def is_tar(block: bytes) -> bool:
    """Whether a file that begins with this block is a tar. The magic alone could be anyone's text."""
    return len(block) == BLOCK_BYTES and block[_MAGIC_AT] in {_MAGIC_POSIX, _MAGIC_GNU} and _checksum_fits(block)


def parse_header(block: bytes) -> TarHeader:
    """Raises ProblemFound for a header that is damaged or of another form."""
    if not _checksum_fits(block):
        raise _corrupt("A header of the tar is damaged")
    name, mode, uid, gid, size, mtime, _, kind, _, magic, _, _, major, minor, prefix = _FIELDS.unpack(block)
    if magic not in {_MAGIC_POSIX, _MAGIC_GNU}:
        raise refuse("archive_unsupported", "The tar is of an old form.", hint="Use tar --format=posix.")
    if not all(_is_number(field) for field in (mode, uid, gid, mtime, major, minor)):
        # nothing here needs them, but some readers take such a header for the end of the archive
        raise _corrupt("A header of the tar holds an owner, mode or time that is no number")
    prefix = _until_nul(prefix)
    if prefix and magic == _MAGIC_GNU:  # times of an incremental backup: some readers would take them for a name
        raise refuse("archive_unsupported", "The tar is an incremental backup.", hint="Use tar --format=posix.")
    name = _until_nul(name)
    return TarHeader(prefix + b"/" + name if prefix else name, _file_kind(kind, name), _number(size))


def _file_kind(kind: bytes, name: bytes) -> bytes:
    """The kind, with the two ways in which the oldest archivers marked files and folders made plain."""
    if kind != b"\x00":
        return kind
    return b"5" if name.endswith(b"/") else b"0"


def _checksum_fits(block: bytes) -> bool:
    declared = block[_CHECKSUM_AT].strip(b" \x00")
    return _is_octal(declared) and int(declared, 8) == sum(block) - sum(block[_CHECKSUM_AT]) + 8 * ord(" ")


def _number(field: bytes) -> int:
    if field[0] == _WIDE:
        return int.from_bytes(field[1:], "big")
    digits = _until_nul(field).strip(b" ")
    if not _is_octal(digits):
        raise _corrupt("A header of the tar declares a size that is no number")
    return int(digits, 8)


def _is_number(field: bytes) -> bool:
    return field[0] in {_WIDE, _WIDE_NEGATIVE} or not _until_nul(field).strip(b" ").strip(b"01234567")


def _is_octal(digits: bytes) -> bool:
    return digits != b"" and not digits.strip(b"01234567")


def _until_nul(field: bytes) -> bytes:
    return field.partition(b"\x00")[0]


def _corrupt(what: str) -> ProblemFound:
    return refuse("archive_corrupt", f"{what}.")
