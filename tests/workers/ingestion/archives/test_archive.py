import bz2
import gzip
import io
import lzma
import os
import random
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.archives.building import LIMITS, Member, contents, raw_zip, refused, tar_of, zip_of
from workers.ingestion.archives import ArchiveLimits, open_archive

FILES = {"model.onnx": random.Random(0).randbytes(3 << 20), "a/b/c.png": b"png", "a/empty": b"", "ü/猫.png": b"cat"}
PACKED = {
    "zip": lambda: zip_of(FILES),
    "stored zip": lambda: zip_of(FILES, zipfile.ZIP_STORED),
    "tar": lambda: tar_of(FILES),
    "tar.gz": lambda: tar_of(FILES, how="w:gz"),
}


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(4))
    return buffer.getvalue()


@pytest.fixture(params=PACKED)
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "packed"
    path.write_bytes(PACKED[request.param]())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir(0o700)
    return tmp_path / "out"


def test_entries_have_names_and_sizes(packed: Path) -> None:
    with open_archive(packed, LIMITS) as archive:
        assert {e.name: e.bytes for e in archive.entries} == {name: len(data) for name, data in FILES.items()}


def test_everything_is_extracted(packed: Path, folder: Path) -> None:
    with open_archive(packed, LIMITS) as archive:
        paths = archive.extract_all(folder)
    assert [p.relative_to(folder).as_posix() for p in paths] == list(FILES)
    assert [p.read_bytes() for p in paths] == list(FILES.values())


def test_pieces_are_small_whatever_the_size(packed: Path) -> None:
    with open_archive(packed, LIMITS) as archive:
        pieces = list(archive.pieces(archive.entries[0]))
    assert b"".join(pieces) == FILES["model.onnx"]
    assert max(map(len, pieces)) <= (1 << 20) + 512


def test_reading_has_a_limit_of_its_own(packed: Path) -> None:
    with open_archive(packed, LIMITS) as archive, pytest.raises(ProblemFound) as found:
        archive.read(archive.entries[0], max_bytes=(3 << 20) - 1)
    assert found.value.problem.code == "archive_bomb"


def test_what_an_archive_says_of_owners_modes_and_times_is_dropped(folder: Path, tmp_path: Path) -> None:
    odd = {"mode": 0o6777, "uid": 12345, "gid": 54321, "mtime": 2**40, "uname": "root"}
    for kind, data in {"tar": tar_of({"a/x": b"x"}, **odd), "zip": raw_zip(Member(b"b/x", mode=0o106777))}.items():
        path = tmp_path / kind
        path.write_bytes(data)
        with open_archive(path, LIMITS) as archive:
            archive.extract_all(folder)
    for path in folder.rglob("*"):
        found = path.lstat()
        assert stat.S_IMODE(found.st_mode) == (0o700 if path.is_dir() else 0o600)
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
        assert found.st_mtime < 2**33


def test_no_link_that_lies_in_the_folder_is_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tmp_path / "packed"
    path.write_bytes(zip_of({"a/x": b"evil"}))
    with open_archive(path, LIMITS) as archive:
        (folder / "a").symlink_to(outside)
        with pytest.raises(NotADirectoryError):
            archive.extract_all(folder)
        (folder / "a").unlink()
        (folder / "a").mkdir()
        (folder / "a" / "x").symlink_to(outside / "y")
        with pytest.raises(FileExistsError):
            archive.extract_all(folder)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "inner",
    [
        zip_of({"a": b"x"}), zip_of({}), npz(), tar_of({"a": b"x"}), tar_of({"a": b"x"}, form=tarfile.GNU_FORMAT),
        gzip.compress(b"x"), bz2.compress(b"x"), lzma.compress(b"x"), b"\x28\xb5\x2f\xfd\0", b"7z\xbc\xaf\x27\x1c\0",
        b"Rar!\x1a\x07\x01\0",
    ],
    ids=["zip", "empty", "npz", "tar", "gnu tar", "gzip", "bzip2", "xz", "zstd", "7z", "rar"],
)  # fmt: skip
def test_archives_within_are_refused_whatever_they_are_called(tmp_path: Path, inner: bytes) -> None:
    for data in (zip_of({"a.png": inner}), tar_of({"a.png": inner}), tar_of({"a.png": inner}, how="w:gz")):
        problem = refused(data, tmp_path)
        assert (problem.code, problem.errors[0].entry) == ("archive_nested", "a.png")


def test_an_archive_within_hides_behind_no_slow_start(tmp_path: Path) -> None:
    """Empty blocks of deflate first: the decompressor gives nothing, then one byte, then the rest."""
    nothing, inner = b"\0\0\0\xff\xff", tar_of({"a": b"x"})
    one, rest = b"\0\1\0\xfe\xff" + inner[:1], b"\1" + (len(inner) - 1).to_bytes(2, "little")
    rest += bytes(byte ^ 0xFF for byte in rest[1:]) + inner[1:]
    payload = nothing * 20_000 + one + nothing * 20_000 + rest
    lies = {"method": 8, "size": len(inner), "crc": zlib.crc32(inner)}
    assert refused(raw_zip(Member(b"a", payload, local=lies, central=lies)), tmp_path).code == "archive_nested"


@pytest.mark.parametrize(
    "data", [b"", b"P", b"BZhello world", b"PK is a company", b"x" * 257 + b"ustar\x0000" + b"x" * 300, b"\x1f\x8b"]
)
def test_what_only_resembles_an_archive_is_a_file(tmp_path: Path, data: bytes) -> None:
    assert contents(zip_of({"a": data}), tmp_path) == {"a": data}


def test_what_a_mac_adds_is_left_out(tmp_path: Path) -> None:
    files = {"a.png": b"x", "__MACOSX/._a.png": b"fork", ".DS_Store": b"view", "f/.DS_Store": b"", "f/b.png": b"y"}
    for data in (zip_of(files), tar_of(files), tar_of(files, how="w:gz")):
        assert contents(data, tmp_path) == {"a.png": b"x", "f/b.png": b"y"}


@pytest.mark.parametrize("data", [b"", b"x", b"PK", bytes(1024), b"\x28\xb5\x2f\xfd" * 200, bz2.compress(bytes(9))])
def test_other_files_are_unsupported(tmp_path: Path, data: bytes) -> None:
    assert refused(data, tmp_path).code == "archive_unsupported"


def test_ten_thousand_pictures_are_read_quickly(tmp_path: Path) -> None:
    files = {f"class{i % 10}/{i:05}.png": b"\x89PNG%d" % i for i in range(10_000)}
    assert contents(zip_of(files, zipfile.ZIP_STORED), tmp_path, ArchiveLimits()) == files
