"""Honest archives, read by us and by Python's own readers: the same names and the same bytes."""

import gzip
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.ingestion.archives.building import contents, tar_of, zip_of

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ARCHIVES = (b"PK", b"\x1f\x8b", b"(\xb5/\xfd", b"7z", b"\xfd7z", b"Rar!", b"BZh")
"""What these begin like is refused within an archive, and the strategies know the constants of our code."""
FILES = st.dictionaries(
    st.text(st.sampled_from("abcXYZ019-_ äß猫"), min_size=1, max_size=20).map(lambda name: f"d/{name}.bin"),
    st.one_of(
        st.binary(max_size=300).filter(lambda data: not data.startswith(ARCHIVES)),
        st.integers(0, 200_000).map(lambda n: b"squeeze me " * (n // 11)),
    ),
    max_size=5,
).filter(lambda files: len({name.casefold() for name in files}) == len(files))


@QUICK
@given(
    files=FILES,
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    how=st.sampled_from(["plain", "wide", "streamed"]),
    comment=st.binary(max_size=40),
)
def test_zips(tmp_path: Path, files: dict[str, bytes], method: int, how: str, comment: bytes) -> None:
    data = written_zip(files, method, how, comment)
    with zipfile.ZipFile(io.BytesIO(data)) as expected:
        assert contents(data, tmp_path) == {i.filename: expected.read(i) for i in expected.infolist()} == files


def written_zip(files: dict[str, bytes], method: int, how: str, comment: bytes) -> bytes:
    """`wide` has sizes of 64 bits in its headers; `streamed` has them after the data, as a pipe needs it."""
    buffer = io.BytesIO()
    target: Any = Pipe(buffer) if how == "streamed" else buffer
    with zipfile.ZipFile(target, "w", method) as out:
        for name, data in files.items():
            with out.open(name, "w", force_zip64=how == "wide") as file:
                file.write(data)
        out.comment = comment
    return buffer.getvalue()


class Pipe:
    """Something that can only be written to."""

    def __init__(self, buffer: io.BytesIO) -> None:
        self.write, self.flush = buffer.write, buffer.flush


@QUICK
@given(
    files=FILES,
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    mode=st.sampled_from(["w", "w:gz"]),
    folder=st.sampled_from(["", "./", "a" * 80 + "/", "ä" * 40 + "/" + "b" * 60 + "/"]),
    fields=st.fixed_dictionaries({}, optional={"mtime": st.floats(0, 1e9), "uid": st.integers(0, 2**40)}),
)
def test_tars(
    tmp_path: Path, files: dict[str, bytes], form: int, mode: str, folder: str, fields: dict[str, Any]
) -> None:
    if form == tarfile.USTAR_FORMAT:
        fields = {}  # it has no room for them
    files = {folder + name: data for name, data in files.items()}
    data = tar_of(files, form=form, how=mode, **fields)
    if not files:
        return  # nothing but zeros, which could be any file
    with tarfile.open(fileobj=io.BytesIO(data)) as expected:
        read = {m.name.removeprefix("./"): expected.extractfile(m).read() for m in expected}  # type: ignore[union-attr]
    assert contents(data, tmp_path) == read == {name.removeprefix("./"): data for name, data in files.items()}


@pytest.mark.parametrize("form", ["posix", "gnu", "ustar"])
@pytest.mark.parametrize("zipped", ["", "z"])
def test_what_the_command_tar_packs(tmp_path: Path, form: str, zipped: str) -> None:
    folder = tmp_path / "in"
    names = ["model.onnx", "d/ü.png", "long" * 20 + "/" + "name" * 20 + ".bin"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    packed = tmp_path / "t.tar"
    subprocess.run(["tar", f"--format={form}", f"-c{zipped}f", packed, "-C", folder, "."], check=True)
    assert contents(packed.read_bytes(), tmp_path) == {name: name.encode() * 100 for name in names}


def test_the_same_bytes_as_two_members_of_gzip(tmp_path: Path) -> None:
    data = tar_of({"a": b"x" * 5000})
    halves = gzip.compress(data[:3000]) + gzip.compress(data[3000:])
    assert contents(halves, tmp_path) == contents(gzip.compress(data), tmp_path) == {"a": b"x" * 5000}


def test_folders_and_empty_files(tmp_path: Path) -> None:
    buffer = io.BytesIO(zip_of({"a/b": b""}))
    with zipfile.ZipFile(buffer, "a") as out:
        out.mkdir("a")
        out.mkdir("c")
    assert contents(buffer.getvalue(), tmp_path) == {"a/b": b""}
