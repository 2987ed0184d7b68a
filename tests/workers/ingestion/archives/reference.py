"""What Python's own readers make of an archive, to compare with. They accept more; where both do, the bytes are one."""

import io
import struct
import tarfile
import unicodedata
import zipfile
import zlib

CODES = frozenset({
    "archive_path_traversal", "archive_link_not_allowed", "archive_bomb", "archive_nested", "archive_too_many_entries",
    "archive_duplicate_entry", "archive_corrupt", "archive_bad_name", "archive_unsupported",
})  # fmt: skip


def read_by_python(data: bytes) -> dict[str, bytes]:
    """Every file by its name as we spell it: composed, without a leading './' and without what Macs add."""
    return _of_zip(data) if data.startswith(b"PK") else _of_tar(data)


def _of_zip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        named = [(_spelling(_zip_name(info)), info) for info in archive.infolist()]
        return {name: archive.read(info) for name, info in named if not name.endswith("/") and not _is_litter(name)}


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Python takes what is not marked as UTF-8 for the DOS code page, also where Info-ZIP or a Mac wrote UTF-8."""
    if info.flag_bits & 1 << 11:
        return info.filename
    told = _extra_name(info)
    if told is not None:
        return told
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeDecodeError:
        return info.filename


def _extra_name(info: zipfile.ZipInfo) -> str | None:
    """Info-ZIP's field: a version, the checksum of the plain name, and the name in UTF-8."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 0x7075 and body[:5] == struct.pack("<BL", 1, zlib.crc32(info.orig_filename.encode("cp437"))):
            return body[5:].decode()
    return None


def _of_tar(data: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=False) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None and not _is_litter(_spelling(member.name)):
                files[_spelling(member.name)] = stream.read()
    return files


def _spelling(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return unicodedata.normalize("NFC", name)


def _is_litter(name: str) -> bool:
    components = name.split("/")
    return components[0] == "__MACOSX" or components[-1] == ".DS_Store" or components[-1].startswith("._")
