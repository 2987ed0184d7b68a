"""Archives made for tests: honest ones by Python's own writers, and zips by hand in which any field can lie."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.contracts.problem import Problem, ProblemFound
from workers.ingestion.archives import ArchiveLimits, open_archive

LIMITS = ArchiveLimits(max_unpacked_bytes=256 << 20)


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, data in files.items():
            out.writestr(name, data)
        out.comment = comment
    return buffer.getvalue()


def tar_of(files: Mapping[str, bytes], *, form: int = tarfile.PAX_FORMAT, how: Any = "w", **fields: Any) -> bytes:
    """`fields` are set on every member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=how, format=form) as out:
        for name, data in files.items():
            out.addfile(member(name, size=len(data), **fields), io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def raw_tar(*parts: bytes) -> bytes:
    """Blocks as they are, with the end that a tar has."""
    return b"".join(part + bytes(-len(part) % 512) for part in parts) + bytes(1024)


def block(name: str, form: int = tarfile.USTAR_FORMAT, **fields: Any) -> bytes:
    """One header."""
    return member(name, **fields).tobuf(form, "utf-8", "surrogateescape")


def patched(header: bytes, at: int, value: bytes) -> bytes:
    """A tar header with other bytes and the checksum that fits them."""
    header = header[:at] + value + header[at + len(value) :]
    total = sum(header[:148]) + 8 * 32 + sum(header[156:512])
    return header[:148] + b"%06o\0 " % total + header[156:]


@dataclass
class Member:
    """An entry of a zip. `local` and `central` replace fields of its two headers; `descriptor` is verbatim."""

    name: bytes
    data: bytes = b"data"
    deflated: bool = False
    flags: int = 0
    mode: int = 0o100644
    extra: bytes = b""
    descriptor: bytes = b""
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        return deflate(self.data) if self.deflated else self.data

    def fields(self, offset: int, lies: dict[str, Any]) -> dict[str, Any]:
        true = {
            "name": self.name, "flags": self.flags, "method": 8 if self.deflated else 0, "crc": zlib.crc32(self.data),
            "packed": len(self.payload), "size": len(self.data), "extra": self.extra, "mode": self.mode,
            "offset": offset, "disk": 0, "magic": None, "version": 20,
        }  # fmt: skip
        assert lies.keys() <= true.keys()
        return true | lies


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def zeros(mebibytes: int) -> bytes:
    """So many of them, deflated, without the work: one that ends on a whole byte, repeated, and the mark of the end."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)) * mebibytes + b"\3\0"


def gzip_of_zeros(before: bytes, mebibytes: int) -> bytes:
    """A member with what comes before, and one with the zeros. The sum at its end is right."""
    crc = 0
    for _ in range(mebibytes):
        crc = zlib.crc32(bytes(1 << 20), crc)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return gzip.compress(before) + header + zeros(mebibytes) + struct.pack("<LL", crc, mebibytes << 20)


def raw_zip(*members: Member, between: bytes = b"", **end: Any) -> bytes:
    """A zip of these entries. `between` lies before the directory; `end` replaces fields of the end record."""
    body, offsets = b"", []
    for one in members:
        offsets.append(len(body))
        body += local_header(one.fields(0, one.local)) + one.payload + one.descriptor
    body += between
    directory = b"".join(central_record(m.fields(o, m.central)) for m, o in zip(members, offsets, strict=True))
    return body + directory + end_record(entries=len(members), size=len(directory), offset=len(body), **end)


def local_header(f: dict[str, Any]) -> bytes:
    fixed = struct.pack(
        "<4s5H3L2H", f["magic"] or b"PK\3\4", 20, f["flags"], f["method"], 0, 33, f["crc"], f["packed"], f["size"],
        len(f["name"]), len(f["extra"]),
    )  # fmt: skip
    return fixed + f["name"] + f["extra"]


def central_record(f: dict[str, Any]) -> bytes:
    fixed = struct.pack(
        "<4s6H3L5H2L", f["magic"] or b"PK\1\2", 3 << 8 | 20, f["version"], f["flags"], f["method"], 0, 33, f["crc"],
        f["packed"], f["size"], len(f["name"]), len(f["extra"]), 0, f["disk"], 0, f["mode"] << 16, f["offset"],
    )  # fmt: skip
    return fixed + f["name"] + f["extra"]


def end_record(
    *, entries: int, size: int, offset: int, disk: int = 0, on_disk: int | None = None, comment: bytes = b""
) -> bytes:
    count = entries if on_disk is None else on_disk
    return struct.pack("<4s4H2LH", b"PK\5\6", disk, 0, count, entries, size, offset, len(comment)) + comment


def end_record_64(*, entries: int, size: int, offset: int, locator_at: int | None = None) -> bytes:
    """The wide record and its locator, for a directory that ends where they begin."""
    at = offset + size if locator_at is None else locator_at
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, offset)
    return wide + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)


def contents(data: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> dict[str, bytes]:
    """Everything that comes out, by name."""
    path = folder / "packed"
    path.write_bytes(data)
    with open_archive(path, limits) as archive:
        return {entry.name: archive.read(entry, max_bytes=limits.max_unpacked_bytes) for entry in archive.entries}


def refused(data: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> Problem:
    """The problem that reading everything ends in."""
    with pytest.raises(ProblemFound) as found:
        contents(data, folder, limits)
    assert len(found.value.problem.model_dump_json()) < 4000
    return found.value.problem
