"""Archives beyond 4 GiB: sparse files stand for them, and small ones that say the same things."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.workers.ingestion.archives.building import (
    Member,
    central_record,
    contents,
    end_record,
    end_record_64,
    local_header,
    raw_zip,
    refused,
)
from workers.ingestion.archives import ArchiveLimits, open_archive

FULL = 0xFFFFFFFF
BIG = 5 << 30


def wide(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def test_entries_beyond_four_gibibytes_are_found_where_they_lie(tmp_path: Path) -> None:
    """5 GiB of zeros, stored, before a small file. Their checksum is not computed: that would take seconds."""
    lies = {"packed": FULL, "size": FULL, "extra": wide(BIG, BIG), "crc": 1}
    head = local_header(Member(b"weights.bin").fields(0, lies))
    second = local_header(Member(b"after").fields(0, {})) + b"data"
    at, path = len(head) + BIG, tmp_path / "big.zip"
    directory = central_record(Member(b"weights.bin").fields(0, lies)) + central_record(
        Member(b"after").fields(FULL, {"extra": wide(at)})
    )
    start = at + len(second)
    with path.open("wb") as file:
        file.write(head)
        file.seek(at)
        file.write(second + directory + end_record_64(entries=2, size=len(directory), offset=start))
        file.write(end_record(entries=2, size=len(directory), offset=FULL))
    assert path.stat().st_blocks < 1000  # it is sparse
    with zipfile.ZipFile(path) as expected:
        names = [(i.filename, i.file_size) for i in expected.infolist()]
        assert expected.read("after") == b"data"
    with open_archive(path, ArchiveLimits(max_unpacked_bytes=8 << 30)) as archive:
        assert [(e.name, e.bytes) for e in archive.entries] == names == [("weights.bin", BIG), ("after", 4)]
        assert archive.read(archive.entries[1], max_bytes=4) == b"data"
        assert next(archive.pieces(archive.entries[0])) == bytes(1 << 20)


def test_small_archives_may_use_the_wide_fields(tmp_path: Path) -> None:
    """As Python writes an entry whose size it does not know beforehand."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out, out.open("a", "w", force_zip64=True) as file:
        file.write(b"data")
    assert contents(buffer.getvalue(), tmp_path) == {"a": b"data"}


def test_both_ends_may_say_the_same(tmp_path: Path) -> None:
    assert contents(with_end_64(), tmp_path) == {"a": b"data"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"entries": 2}, "archive_corrupt"),
        ({"offset": 3}, "archive_corrupt"),
        ({"locator_at": 0}, "archive_corrupt"),
        ({"locator_at": 2**64 - 1}, "archive_corrupt"),
    ],
)
def test_ends_that_contradict_each_other_are_corrupt(tmp_path: Path, change: dict[str, int], code: str) -> None:
    assert refused(with_end_64(**change), tmp_path).code == code


def test_wide_ends_over_several_disks_are_unsupported(tmp_path: Path) -> None:
    data = with_end_64()
    disks = data.rindex(b"PK\x06\x07") + 16
    assert refused(data[:disks] + b"\2" + data[disks + 1 :], tmp_path).code == "archive_unsupported"


def test_wide_fields_that_are_missing_short_or_doubled_are_corrupt(tmp_path: Path) -> None:
    for extra in (b"\1\0\4\0abcd", wide(4) + wide(4), b"\1\0\xff\0"):
        lies = {"size": FULL, "extra": extra}
        assert refused(raw_zip(Member(b"a", central=lies, local=lies)), tmp_path).code == "archive_corrupt"
    assert refused(raw_zip(Member(b"a", central={"packed": FULL, "size": FULL})), tmp_path).code == "archive_bomb"


@pytest.mark.parametrize("value", [2**64 - 1, 2**63, 1 << 40])
def test_wide_values_beyond_the_file_are_refused(tmp_path: Path, value: int) -> None:
    lies = {"packed": FULL, "size": FULL, "extra": wide(value, value)}
    data = raw_zip(Member(b"a", central=lies, local=lies))
    assert refused(data, tmp_path, ArchiveLimits(max_unpacked_bytes=2**62)).code == "archive_bomb"
    moved = raw_zip(Member(b"a", central={"offset": FULL, "extra": wide(value)}))
    assert refused(moved, tmp_path).code == "archive_corrupt"


def test_a_wide_end_of_another_length_than_its_fields_is_corrupt(tmp_path: Path) -> None:
    data = with_end_64()
    assert contents(data, tmp_path) == {"a": b"data"}
    longer = data.replace(b"PK\6\6\x2c", b"PK\6\6\x2d")  # 44 and 45 bytes
    assert refused(longer, tmp_path).code == "archive_corrupt"


def with_end_64(**change: int) -> bytes:
    """A small archive with both ends; `change` is for the wide one."""
    head = local_header(Member(b"a").fields(0, {"crc": zlib.crc32(b"data")})) + b"data"
    directory = central_record(Member(b"a").fields(0, {}))
    said = {"entries": 1, "size": len(directory), "offset": len(head)}
    locator = {"locator_at": len(head) + len(directory)}
    return head + directory + end_record_64(**(said | locator | change)) + end_record(**said)
