import os
import shutil
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

import pytest
from lowbit import LowbitError, packing
from lowbit.folder_contents import Contents, to_pack
from lowbit.folder_walk import Member, walk
from lowbit.packing import packed, write_archive
from lowbit.resources import Purpose

from app.files.sniff import HEAD_BYTES, sniff
from tests.client.folders import MINILM, fill
from workers.ingestion.archives.archive import open_archive
from workers.ingestion.archives.limits import ArchiveLimits

FILES = {"config.json": 600, "model.safetensors": 3 << 20, "Straße/猫 1.png": 10, "empty.txt": 0}


def contents_of(folder: Path) -> Contents:
    return Contents(folder.name, walk(folder, lambda *_: True).members)


def by_hand(files: dict[str, bytes]) -> bytes:
    """After APPNOTE.TXT 4.3: local headers and contents, central headers, end. 1980-01-01 is date 0x21."""
    body, index = b"", b""
    for name, content in files.items():
        flags, octets = 0 if name.isascii() else 1 << 11, name.encode()
        sizes = (zlib.crc32(content), len(content), len(content), len(octets), 0)
        fields = struct.pack("<5H3I2H", 20, flags, 0, 0, 0x21, *sizes)
        rest = struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, len(body))
        index += b"PK\x01\x02" + bytes([20, 3]) + fields + rest + octets
        body += b"PK\x03\x04" + fields + octets + content
    return body + index + b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, len(files), len(files), len(index), len(body), 0)


def archived(folder: Path) -> bytes:
    with packed(contents_of(folder)) as path:
        return path.read_bytes()


def test_the_archive_holds_the_files_as_they_are(tmp_path: Path) -> None:
    folder = fill(tmp_path / "minilm", FILES)
    with packed(contents_of(folder)) as path:
        assert path.name == "minilm.zip"
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == sorted(FILES)
            assert all(archive.read(name) == (folder / name).read_bytes() for name in FILES)
            for entry in archive.infolist():
                assert (entry.compress_type, entry.create_system) == (zipfile.ZIP_STORED, 3)
                assert (entry.external_attr >> 16, entry.date_time) == (0o100644, (1980, 1, 1, 0, 0, 0))
                # bit 3 would put sizes behind the content, bit 11 says that a name is UTF-8
                assert entry.flag_bits == (0 if entry.filename.isascii() else 1 << 11)


def test_it_goes_away_with_the_block_however_that_ends(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), packed(contents_of(fill(tmp_path, FILES))) as path:
        raise KeyboardInterrupt
    assert not path.parent.exists()


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    first = fill(tmp_path / "a" / "minilm", FILES)
    second = fill(tmp_path / "b" / "minilm", dict(reversed(FILES.items())))
    for path in second.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)
    assert archived(first) == archived(second)
    (second / "config.json").write_bytes(b"{}" * 300)
    assert archived(first) != archived(second)


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    fill(tmp_path, {"config.json": 10, "empty": 0, "ä/1.png": 3})
    files = {"config.json": b"config.jso", "empty": b"", "ä/1.png": "ä/".encode()}
    assert archived(tmp_path) == by_hand(files)


def test_large_files_have_sizes_of_64_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "ZIP64_FROM_BYTES", 600)
    fill(tmp_path, {"large": 600, "small": 599})
    octets = archived(tmp_path)
    # version needed 4.5, sizes of all ones, and an extra field 1 of 16 bytes with the sizes
    start = octets.index(b"PK\x03\x04")
    version, *_, size, stored, name, extra = struct.unpack_from("<5H3I2H", octets, start + 4)
    assert (version, size, stored, extra) == (45, 2**32 - 1, 2**32 - 1, 20)
    assert struct.unpack_from("<2H2Q", octets, start + 30 + name) == (1, 16, 600, 600)
    other = octets.index(b"PK\x03\x04", start + 1)
    assert struct.unpack_from("<5H3I2H", octets, other + 4)[-3:] == (599, 5, 0)


@pytest.mark.parametrize("purpose", ["model", "dataset"])
@pytest.mark.parametrize("zip64_from_bytes", [packing.ZIP64_FROM_BYTES, 1])
def test_the_service_takes_what_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, purpose: Purpose, zip64_from_bytes: int
) -> None:
    monkeypatch.setattr(packing, "ZIP64_FROM_BYTES", zip64_from_bytes)
    folder = fill(tmp_path / "sent", MINILM if purpose == "model" else {"Straße/猫 1.png": 9, "e\u0301/2.jpg": 7})
    contents = to_pack(folder, purpose)
    assert contents is not None
    with packed(contents) as path:
        assert sniff(path.read_bytes()[:HEAD_BYTES], purpose) == ("archive" if purpose == "model" else "images")
        with open_archive(path, ArchiveLimits()) as archive:
            found = {entry.name: archive.read(entry, max_bytes=1 << 20) for entry in archive.entries}
    # the service writes names in their shortest form
    assert found == {unicodedata.normalize("NFC", m.name): m.path.read_bytes() for m in contents.members}


@pytest.mark.parametrize("announced", [9, 11])
def test_a_file_that_changes_meanwhile_is_not_sent(
    tmp_path: Path, announced: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK_BYTES", 3)
    path = fill(tmp_path, {"a": 10}) / "a"
    with pytest.raises(LowbitError, match="was changed while it was packed"):
        write_archive((Member("a", path, announced),), tmp_path / "out.zip")


def test_no_room_is_known_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    free = shutil.disk_usage(tmp_path).free
    absent = Contents("huge", (Member("a", tmp_path / "absent", free + 10**12),))
    with pytest.raises(LowbitError, match=rf"Packing huge needs .* GB in {tmp_path}.*Set TMPDIR"), packed(absent):
        pass
    assert not list(tmp_path.iterdir())


def test_a_name_as_long_as_names_can_be_still_fits(tmp_path: Path) -> None:
    folder = fill(tmp_path / ("ä" * 127), {"a": 1})
    with packed(contents_of(folder)) as path:
        assert path.name == "ä" * 60 + ".zip"
