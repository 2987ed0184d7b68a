"""Archives within an archive, known by their first bytes whatever they are called.

Nothing here would open them, and what is refused needs no second set of limits. An .npz and a .pt are zips as well.
"""

from collections.abc import Iterator

from app.contracts.problem import refuse
from workers.ingestion.archives.tar_header import BLOCK_BYTES, is_tar

_MAGICS = {
    b"PK\x03\x04": "a zip (an .npz, .pt or .jar is one too)",
    b"PK\x05\x06": "an empty zip",
    b"PK\x07\x08": "a part of a zip",
    b"\x1f\x8b\x08": "a gzip file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\xfd7zXZ\x00": "an xz file",
    b"Rar!\x1a\x07": "a rar archive",
}
_BZIP2 = (b"BZh", b"1AY&SY")  # a digit lies between them


def without_archives(pieces: Iterator[bytes], entry: str) -> Iterator[bytes]:
    """The pieces as they are, unless they begin like an archive. Nothing is handed out before that is known."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= BLOCK_BYTES:
            break
    _refuse_archive(head, entry)
    if head:
        yield head
    yield from pieces


def _refuse_archive(head: bytes, entry: str) -> None:
    seen = next((name for magic, name in _MAGICS.items() if head.startswith(magic)), None)
    if seen is None and head.startswith(_BZIP2[0]) and head[4:10] == _BZIP2[1]:
        seen = "a bzip2 file"
    if seen is None and is_tar(head[:BLOCK_BYTES]):
        seen = "a tar archive"
    if seen is not None:
        raise refuse("archive_nested", f"An entry is {seen}; pack what is in it instead.", entry=entry)
