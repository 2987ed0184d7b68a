"""Streams of packed bytes, unpacked piece by piece, and never more than one piece ahead of whoever reads."""

import zlib
from collections.abc import Iterator

from app.contracts.problem import refuse
from workers.ingestion.archives.packed_file import PIECE_BYTES, PackedFile

_INPUT_BYTES = 64 << 10
_RAW, _GZIP = -zlib.MAX_WBITS, zlib.MAX_WBITS | 16


def stored(packed: PackedFile, offset: int, count: int, *, entry: str | None = None) -> Iterator[bytes]:
    """Bytes that were not compressed."""
    end = offset + count
    for start in range(offset, end, PIECE_BYTES):
        yield packed.read(start, min(PIECE_BYTES, end - start), entry=entry)


def inflated(packed: PackedFile, offset: int, count: int, *, entry: str) -> Iterator[bytes]:
    """What `count` bytes of a raw stream unpack to. The stream must end with the last of them."""
    inflater = zlib.decompressobj(_RAW)
    end, data = offset + count, b""
    while not inflater.eof:
        exhausted = not data and offset == end
        if not data:
            data = packed.read(offset, min(_INPUT_BYTES, end - offset), entry=entry)
            offset += len(data)
        piece = _inflate(inflater, data, entry)
        data = inflater.unconsumed_tail
        if exhausted and not piece:  # a last match may still have been on its way out
            raise refuse("archive_corrupt", "An entry's compressed data is cut off.", entry=entry)
        yield piece
    if inflater.unused_data or offset != end:
        raise refuse("archive_corrupt", "An entry's compressed data ends before it should.", entry=entry)


def gunzipped(packed: PackedFile, *, max_members: int) -> Iterator[bytes]:
    """What a gzip file unpacks to. It may be of several members; zlib compares the checksum and size of each."""
    offset, data, members = 0, b"", 0
    while data or offset < packed.size:
        members += 1
        if members > max_members:
            detail = f"The gzip file has more than {max_members} members."
            raise refuse("archive_too_many_entries", detail, hint="Pack it in one: tar -czf.")
        inflater = zlib.decompressobj(_GZIP)
        while not inflater.eof:
            if not data:
                if offset == packed.size:
                    raise refuse("archive_corrupt", "The gzip file is cut off.")
                data = packed.read(offset, min(_INPUT_BYTES, packed.size - offset))
                offset += len(data)
            yield _inflate(inflater, data, None)
            data = inflater.unconsumed_tail
        data = inflater.unused_data


def _inflate(inflater: "zlib._Decompress", data: bytes, entry: str | None) -> bytes:
    try:
        return inflater.decompress(data, PIECE_BYTES)
    except zlib.error as error:
        raise refuse("archive_corrupt", "The compressed data is damaged.", entry=entry) from error
