"""From header to header over a tar. Everything between its beginning and its end is accounted for."""

from collections.abc import Iterator
from typing import NamedTuple

from app.contracts.problem import refuse
from workers.ingestion.archives.entry import Entry
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.namespace import Namespace
from workers.ingestion.archives.packed_file import PIECE_BYTES
from workers.ingestion.archives.tar_extended import (
    MAX_EXTENDED_BYTES,
    Override,
    check_global_pax,
    parse_long_name,
    parse_pax,
)
from workers.ingestion.archives.tar_header import BLOCK_BYTES, TarHeader, is_tar, parse_header
from workers.ingestion.archives.tar_stream import TarStream, read_exactly

_FILE, _FOLDER = b"0", b"5"
_LINKS = {b"1": "a hard link", b"2": "a symbolic link", b"K": "a link"}
_PAX, _GLOBAL_PAX, _LONG_NAME = b"x", b"g", b"L"
_EXTENDED = frozenset({_PAX, _GLOBAL_PAX, _LONG_NAME})
_MAX_HEADERS_EACH = 3  # an entry may have one of pax and one of GNU before its own
_MAX_PADDING_BYTES = 1 << 20  # at the end archivers fill a record, of 10 KiB unless told otherwise


class _Member(NamedTuple):
    name: str
    kind: bytes
    bytes: int


def walk(stream: TarStream, limits: ArchiveLimits) -> Iterator[Entry]:
    """Every file, in order. When the iteration ends, the stream is at its end too. Raises ProblemFound."""
    namespace = Namespace(limits)
    for member in _members(stream, limits):
        name = namespace.admit(member.name, "folder" if member.kind == _FOLDER else "file")
        if name is not None:
            yield Entry(name, member.bytes, stream.position, member.bytes)
        _skip_data(stream, member.bytes)


def _members(stream: TarStream, limits: ArchiveLimits) -> Iterator[_Member]:
    """Files and folders, each with what preceded its header. Whoever asks has to move on over the data."""
    override: Override | None = None
    extended_bytes = 0
    for header in _headers(stream, limits):
        if header.kind in _EXTENDED:
            extended_bytes += header.bytes
            _check_extended(extended_bytes, limits)
        if header.kind == _GLOBAL_PAX:
            check_global_pax(_read_extended(stream, header))
        elif header.kind in {_PAX, _LONG_NAME}:
            parse = parse_pax if header.kind == _PAX else parse_long_name
            override = _joined(override, parse(_read_extended(stream, header)))
        else:
            yield _member(header, override or Override())
            override = None
    if override is not None:
        raise refuse("archive_corrupt", "The tar ends where an entry should follow.")


def _headers(stream: TarStream, limits: ArchiveLimits) -> Iterator[TarHeader]:
    block = read_exactly(stream, BLOCK_BYTES)
    if not is_tar(block):
        raise refuse("archive_unsupported", "The file is not a tar.", hint="Pack the files as a zip or a tar.gz.")
    for _ in range(_MAX_HEADERS_EACH * limits.max_entries):
        yield parse_header(block)
        block = read_exactly(stream, BLOCK_BYTES)
        if not any(block):
            _check_end(stream)
            return
    raise refuse("archive_too_many_entries", f"The tar has more than {limits.max_entries} entries, the limit.")


def _check_end(stream: TarStream) -> None:
    """The tar ends with a second block of zeros, and zeros fill the file."""
    padding = read_exactly(stream, BLOCK_BYTES)
    total = 0
    while padding:
        total += len(padding)
        if total > _MAX_PADDING_BYTES or padding.strip(b"\x00"):
            raise refuse("archive_corrupt", "Something follows the tar's end.")
        padding = stream.read(PIECE_BYTES)


def _check_extended(total_bytes: int, limits: ArchiveLimits) -> None:
    if total_bytes > limits.max_extended_bytes:
        raise refuse(
            "archive_unsupported",
            f"The tar's extended headers take more than {limits.max_extended_bytes} bytes together, the limit.",
            hint="Use tar --no-xattrs.",
        )


def _read_extended(stream: TarStream, header: TarHeader) -> bytes:
    if header.bytes > MAX_EXTENDED_BYTES:
        raise refuse(
            "archive_unsupported",
            f"An extended header of the tar takes {header.bytes} bytes; {MAX_EXTENDED_BYTES} is the limit.",
            hint="Use tar --no-xattrs.",
        )
    data = read_exactly(stream, header.bytes)
    stream.skip(-header.bytes % BLOCK_BYTES)
    return data


def _joined(first: Override | None, second: Override) -> Override:
    if first is None:
        return second
    if first.raw_name is not None and second.raw_name is not None:
        raise refuse("archive_corrupt", "An entry of the tar has two names.")
    if first.bytes is not None and second.bytes is not None:
        raise refuse("archive_corrupt", "An entry of the tar has two sizes.")
    return Override(first.raw_name or second.raw_name, second.bytes if first.bytes is None else first.bytes)


def _member(header: TarHeader, override: Override) -> _Member:
    raw_name = header.raw_name if override.raw_name is None else override.raw_name
    size = header.bytes if override.bytes is None else override.bytes
    shown = raw_name.decode(errors="replace")
    if header.kind in _LINKS:
        raise refuse("archive_link_not_allowed", f"An entry is {_LINKS[header.kind]}.", entry=shown)
    if header.kind not in {_FILE, _FOLDER}:
        raise refuse(
            "archive_unsupported", "An entry is neither a plain file nor a folder.", entry=shown, hint="Leave it out."
        )
    if header.kind == _FOLDER and size:
        raise refuse("archive_corrupt", "An entry is a folder and a file at once.", entry=shown)
    try:
        return _Member(raw_name.decode(), header.kind, size)
    except UnicodeDecodeError as error:
        raise refuse("archive_bad_name", "An entry's name is not valid UTF-8.", entry=shown) from error


def _skip_data(stream: TarStream, count: int) -> None:
    stream.skip(count + -count % BLOCK_BYTES)
