"""What a zip may not be. Each is an honest archive but for one thing."""

import io
import random
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.workers.ingestion.archives.building import (
    LIMITS,
    Member,
    central_record,
    contents,
    deflate,
    end_record,
    end_record_64,
    local_header,
    raw_zip,
    refused,
    zeros,
    zip_of,
)
from workers.ingestion.archives import ArchiveLimits

NOISE = random.Random(0).randbytes(5000)


def test_an_archive_made_by_hand_is_read_by_both(tmp_path: Path) -> None:
    data = raw_zip(Member(b"a"), Member(b"b/c", NOISE, deflated=True))
    with zipfile.ZipFile(io.BytesIO(data)) as expected:
        assert {i.filename: expected.read(i) for i in expected.infolist()} == {"a": b"data", "b/c": NOISE}
    assert contents(data, tmp_path) == {"a": b"data", "b/c": NOISE}


@pytest.mark.parametrize("name", [b"../evil", b"a/../../evil", b"..\\evil", b"/etc/x", b"C:\\x", b"\\\\host\\x"])
def test_names_that_escape_are_refused_with_the_entry(tmp_path: Path, name: bytes) -> None:
    problem = refused(raw_zip(Member(b"ok"), Member(name)), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_path_traversal", name.decode())


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        (stat.S_IFLNK | 0o777, "archive_link_not_allowed"),
        (stat.S_IFIFO | 0o600, "archive_unsupported"),
        (stat.S_IFCHR | 0o600, "archive_unsupported"),
        (stat.S_IFSOCK | 0o600, "archive_unsupported"),
        (stat.S_IFDIR | 0o700, "archive_corrupt"),
    ],
)
def test_only_files_are_files(tmp_path: Path, mode: int, code: str) -> None:
    assert refused(raw_zip(Member(b"ok"), Member(b"odd", mode=mode)), tmp_path).code == code


@pytest.mark.parametrize("name", [b"a\0b", b"a\nb", b"CON", b"dot.", b"x" * 256, b"a/" * 33 + b"b", b"\xe2\x80\xaea"])
def test_bad_names_are_refused(tmp_path: Path, name: bytes) -> None:
    assert refused(raw_zip(Member(name, flags=1 << 11)), tmp_path).code == "archive_bad_name"


def test_a_name_that_says_it_is_utf_8_and_is_not_is_bad(tmp_path: Path) -> None:
    problem = refused(raw_zip(Member(b"\xff.png", flags=1 << 11)), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_bad_name", "\ufffd.png")


@pytest.mark.parametrize(
    ("first", "second"), [("a", "A"), ("\u00e9", "e\u0301"), ("a", "a/b"), ("straße/x", "STRASSE/y")]
)
def test_names_that_differ_in_nothing_that_counts_are_duplicates(tmp_path: Path, first: str, second: str) -> None:
    data = raw_zip(Member(first.encode(), flags=1 << 11), Member(second.encode(), flags=1 << 11))
    assert refused(data, tmp_path).code == "archive_duplicate_entry"


def test_the_same_name_twice_is_a_duplicate(tmp_path: Path) -> None:
    assert refused(raw_zip(Member(b"a"), Member(b"a")), tmp_path).code == "archive_duplicate_entry"


@pytest.mark.parametrize(
    "lies",
    [
        {"name": b"b"}, {"method": 8}, {"flags": 1 << 11}, {"crc": 1}, {"packed": 3}, {"size": 5}, {"magic": b"PK\3\5"},
        {"extra": b"\x01\x00\x10\x00"}, {"packed": 0, "size": 0, "crc": 0},
    ],
)  # fmt: skip
def test_a_header_that_contradicts_the_directory_is_corrupt(tmp_path: Path, lies: dict[str, Any]) -> None:
    assert refused(raw_zip(Member(b"first"), Member(b"a", local=lies)), tmp_path).code == "archive_corrupt"


@pytest.mark.parametrize("lies", [{"crc": 7}, {"size": 5001}, {"size": 4999}])
def test_data_that_both_headers_describe_wrongly_is_corrupt(tmp_path: Path, lies: dict[str, Any]) -> None:
    member = Member(b"a", NOISE, deflated=True, local=lies, central=lies)
    assert refused(raw_zip(member), tmp_path).code == "archive_corrupt"


@pytest.mark.parametrize(
    "payload",
    [deflate(NOISE)[:-1], deflate(NOISE) + b"x", b"\xff" * 100, b"", deflate(NOISE)[:100]],
    ids=["cut off", "longer", "noise", "nothing", "cut in the middle"],
)
def test_damaged_data_is_corrupt(tmp_path: Path, payload: bytes) -> None:
    lies = {"method": 8, "size": 5000, "crc": zlib.crc32(NOISE)}
    problem = refused(raw_zip(Member(b"a", payload, local=lies, central=lies)), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_corrupt", "a")


@pytest.mark.parametrize(
    ("lies", "what"),
    [
        ({"flags": 1}, "encrypted"),
        ({"flags": 1 << 6 | 1}, "strongly encrypted"),
        ({"flags": 1 << 13}, "with a hidden header"),
        ({"flags": 1 << 5}, "a patch"),
        ({"method": 9}, "deflate64"),
        ({"method": 12}, "bzip2"),
        ({"method": 14}, "LZMA"),
        ({"method": 98}, "PPMd"),
        ({"method": 99}, "AES"),
    ],
)
def test_encryption_and_rare_methods_are_unsupported(tmp_path: Path, lies: dict[str, Any], what: str) -> None:
    problem = refused(raw_zip(Member(b"a", local=lies, central=lies)), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_unsupported", "a"), what
    assert problem.hint == "Use deflate, without encryption."


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_real_archives_of_rare_methods_are_unsupported(tmp_path: Path, method: int) -> None:
    assert refused(zip_of({"a": NOISE}, method), tmp_path).code == "archive_unsupported"


@pytest.mark.parametrize("end", [{"disk": 1}, {"on_disk": 0}])
def test_a_zip_in_several_parts_is_unsupported(tmp_path: Path, end: dict[str, int]) -> None:
    assert refused(raw_zip(Member(b"a"), **end), tmp_path).code == "archive_unsupported"
    assert refused(raw_zip(Member(b"a", central={"disk": 1})), tmp_path).code == "archive_unsupported"


def test_a_zip_of_a_version_that_is_not_published_is_unsupported(tmp_path: Path) -> None:
    assert refused(raw_zip(Member(b"a", central={"version": 64})), tmp_path).code == "archive_unsupported"


def test_a_directory_holds_its_records_and_nothing_else(tmp_path: Path) -> None:
    data = raw_zip(Member(b"a"))
    size, offset = struct.unpack("<LL", data[-10:-2])
    longer = data[:-22] + b"junk" + end_record(entries=1, size=size + 4, offset=offset)
    assert refused(longer, tmp_path).detail == "The zip's directory has more entries than it says."


def test_two_entries_that_share_their_data_are_a_bomb(tmp_path: Path) -> None:
    data = raw_zip(Member(b"a", NOISE), Member(b"b", NOISE, central={"offset": 0}))
    problem = refused(data, tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_bomb", "a")


def test_a_shared_header_is_a_bomb_even_if_it_contradicts_the_directory(tmp_path: Path) -> None:
    data = raw_zip(Member(b"b", NOISE, central={"name": b"c"}), Member(b"a", NOISE, central={"offset": 0}))
    assert refused(data, tmp_path).code == "archive_bomb"


def test_data_that_a_longer_header_pushes_into_the_next_entry_is_a_bomb(tmp_path: Path) -> None:
    lies = {"packed": 8, "size": 8}
    first = Member(b"a", local=lies | {"extra": b"\xff\xff\0\0"}, central=lies)
    assert refused(raw_zip(first, Member(b"b")), tmp_path).code == "archive_bomb"


def test_headers_quoted_inside_of_data_are_a_bomb(tmp_path: Path) -> None:
    """As David Fifield has it: a stored block in an entry's data holds the next header, and the rest is shared."""
    kernel = deflate(bytes(1 << 20))
    crc, size = zlib.crc32(bytes(1 << 20)), 1 << 20
    inner = local_header(Member(b"b").fields(0, {"method": 8, "crc": crc, "packed": len(kernel), "size": size}))
    quote = b"\0" + struct.pack("<HH", len(inner), len(inner) ^ 0xFFFF) + inner
    whole = inner + bytes(1 << 20)
    lies = {"method": 8, "crc": zlib.crc32(whole), "packed": len(quote) + len(kernel), "size": len(whole)}
    outer = local_header(Member(b"a").fields(0, lies))
    body = outer + quote + kernel
    directory = central_record(Member(b"a").fields(0, lies)) + central_record(
        Member(b"b").fields(len(outer) + 5, {"method": 8, "crc": crc, "packed": len(kernel), "size": size})
    )
    bomb = body + directory + end_record(entries=2, size=len(directory), offset=len(body))
    with zipfile.ZipFile(io.BytesIO(bomb)) as believed:  # Python 3.11 unpacks it; later versions refuse
        assert len(believed.read("a")) == size + len(inner)
    assert refused(bomb, tmp_path).code == "archive_bomb"


def test_a_bomb_that_says_so_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    lies = {"method": 8, "size": 4 * (1 << 30) - 2, "packed": 10 << 20}
    data = raw_zip(Member(b"zeros", bytes(10 << 20), local=lies, central=lies))
    for limits in (LIMITS, ArchiveLimits(max_unpacked_bytes=1 << 40)):
        assert refused(data, tmp_path, limits).code == "archive_bomb"


def test_a_bomb_among_bulky_files_is_seen_by_its_own_growth(tmp_path: Path) -> None:
    limits = ArchiveLimits(ratio_from_bytes=1 << 20)
    problem = refused(zip_of({"zeros": bytes(2 << 20), "noise": random.Random(1).randbytes(1 << 20)}), tmp_path, limits)
    assert (problem.code, problem.errors[0].entry) == ("archive_bomb", "zeros")


def test_a_bomb_that_understates_itself_is_stopped_where_it_said_it_would_end(tmp_path: Path) -> None:
    packed = zeros(100)
    lies = {"method": 8, "size": 1000, "crc": 0}
    problem = refused(raw_zip(Member(b"zeros", packed, local=lies, central=lies)), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_corrupt", "zeros")


def test_zeros_that_are_few_are_no_bomb(tmp_path: Path) -> None:
    assert contents(zip_of({"zeros": bytes(1 << 20)}), tmp_path) == {"zeros": bytes(1 << 20)}


def test_all_entries_together_have_a_limit(tmp_path: Path) -> None:
    files = {"a": NOISE, "b": NOISE}
    assert refused(zip_of(files), tmp_path, ArchiveLimits(max_unpacked_bytes=9_999)).code == "archive_bomb"
    assert contents(zip_of(files), tmp_path, ArchiveLimits(max_unpacked_bytes=10_000)) == files


def test_too_many_entries_are_refused_before_they_are_read(tmp_path: Path) -> None:
    data = end_record(entries=0xFFFF, size=0, offset=0)
    assert refused(data, tmp_path, ArchiveLimits(max_entries=1000)).code == "archive_too_many_entries"
    first = b"PK\3\4"
    million = first + end_record_64(entries=1_000_001, size=0, offset=4) + end_record(entries=0xFFFF, size=0, offset=4)
    assert refused(million, tmp_path).code == "archive_too_many_entries"


def test_a_directory_of_four_gibibytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    data = end_record(entries=1, size=0xFFFFFFF0, offset=0)
    assert refused(data, tmp_path).code == "archive_too_many_entries"


@pytest.mark.parametrize("told", [0, 1, 3])
def test_a_directory_with_more_or_fewer_entries_than_it_says_is_corrupt(tmp_path: Path, told: int) -> None:
    data = raw_zip(Member(b"a"), Member(b"b"))
    wrong = data[:-14] + struct.pack("<HH", told, told) + data[-10:]
    assert refused(wrong, tmp_path).code == "archive_corrupt"


def test_nothing_lies_before_between_or_after(tmp_path: Path) -> None:
    honest = raw_zip(Member(b"a"), Member(b"b"))
    assert refused(raw_zip(Member(b"a", local={"name": b"a"}), between=b"hidden"), tmp_path).code == "archive_corrupt"
    assert refused(raw_zip(Member(b"a", descriptor=b"hidden"), Member(b"b")), tmp_path).code == "archive_corrupt"
    assert refused(honest + b"\0", tmp_path).code == "archive_corrupt"
    assert refused(b"#!/bin/sh\n" + honest, tmp_path).code == "archive_unsupported"
    assert refused(b"PK\3\4 prefix" + honest, tmp_path).code == "archive_corrupt"
    assert refused(honest[:-1], tmp_path).code == "archive_corrupt"
    assert refused(honest[:-30], tmp_path).code == "archive_corrupt"


def test_a_comment_is_fine_unless_it_holds_another_end(tmp_path: Path) -> None:
    assert contents(raw_zip(Member(b"a"), comment=b"3a4b5c" * 7), tmp_path) == {"a": b"data"}
    assert contents(raw_zip(Member(b"a"), comment=b"x" * 0xFFFF), tmp_path) == {"a": b"data"}
    assert refused(raw_zip(Member(b"a"), comment=raw_zip(Member(b"b"))), tmp_path).code == "archive_corrupt"


@pytest.mark.parametrize("magic", [b"", b"PK\x07\x08"])
@pytest.mark.parametrize("width", ["<LLL", "<LQQ"])
@pytest.mark.parametrize("told", [{"crc": 0, "packed": 0, "size": 0}, {}])
def test_sizes_may_follow_the_data_in_every_known_form(
    tmp_path: Path, magic: bytes, width: str, told: dict[str, Any]
) -> None:
    descriptor = magic + struct.pack(width, zlib.crc32(b"data"), 4, 4)
    member = Member(b"a", flags=8, descriptor=descriptor, local=told)
    assert contents(raw_zip(member, Member(b"b")), tmp_path) == {"a": b"data", "b": b"data"}
    for wrong in (descriptor[:-1], descriptor + b"\0", b"\1" + descriptor[1:], b""):
        lying = Member(b"a", flags=8, descriptor=wrong, local=told)
        assert refused(raw_zip(lying, Member(b"b")), tmp_path).code == "archive_corrupt"


def test_names_are_read_as_their_archivers_wrote_them(tmp_path: Path) -> None:
    told = struct.pack("<HHBL", 0x7075, 5 + 9, 1, zlib.crc32(b"z?ge.png")) + "züge.png".encode()
    assert contents(raw_zip(Member("ä.png".encode(), flags=1 << 11)), tmp_path) == {"ä.png": b"data"}
    assert contents(raw_zip(Member("ä.png".encode())), tmp_path) == {"ä.png": b"data"}  # a Mac's, which does not say so
    assert contents(raw_zip(Member("ä.png".encode("cp437"))), tmp_path) == {"ä.png": b"data"}
    assert contents(raw_zip(Member(b"z?ge.png", extra=told)), tmp_path) == {"züge.png": b"data"}
    stale = Member(b"other.png", extra=told)  # renamed by a tool that does not know the field
    assert contents(raw_zip(stale), tmp_path) == {"other.png": b"data"}


def test_a_name_in_utf_8_of_a_form_that_nobody_knows_does_not_count(tmp_path: Path) -> None:
    told = struct.pack("<HHBL", 0x7075, 6, 2, zlib.crc32(b"a")) + b"b"
    assert set(contents(raw_zip(Member(b"a", extra=told)), tmp_path)) == {"a"}


def test_an_entry_with_two_names_is_corrupt(tmp_path: Path) -> None:
    told = struct.pack("<HHBL", 0x7075, 6, 1, zlib.crc32(b"a")) + b"b"
    assert refused(raw_zip(Member(b"a", flags=1 << 11, extra=told)), tmp_path).code == "archive_corrupt"
    assert refused(raw_zip(Member(b"a", local={"extra": told})), tmp_path).code == "archive_corrupt"


def test_a_folder_has_no_data(tmp_path: Path) -> None:
    assert contents(raw_zip(Member(b"a/", b""), Member(b"a/b"), Member(b"c/", b"")), tmp_path) == {"a/b": b"data"}
    assert refused(raw_zip(Member(b"a/")), tmp_path).code == "archive_corrupt"


def test_an_empty_zip_has_no_entries(tmp_path: Path) -> None:
    assert contents(zip_of({}), tmp_path) == {}
    hidden = b"hidden" + end_record(entries=0, size=0, offset=6)
    assert refused(b"PK\5\6" + hidden, tmp_path, LIMITS).code == "archive_corrupt"
