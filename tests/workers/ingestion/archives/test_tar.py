"""What a tar may not be, plain and zipped."""

import gzip
import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.workers.ingestion.archives.building import (
    LIMITS,
    block,
    contents,
    gzip_of_zeros,
    member,
    patched,
    raw_tar,
    refused,
    tar_of,
)
from workers.ingestion.archives import ArchiveLimits, open_archive

FORMS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
NOISE = random.Random(0).randbytes(5000)


def pax(*records: bytes) -> bytes:
    """An extended header for the entry that follows, from verbatim records."""
    data = b"".join(records)
    return block("pax", type=b"x", size=len(data)) + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = next(n for n in range(len(body), len(body) + 9) if n == len(b"%d" % n) + len(body))
    return b"%d" % length + body


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "..\\evil", "/etc/x", "C:\\x", "\\\\host\\x"])
def test_names_that_escape_are_refused_with_the_entry(tmp_path: Path, form: int, name: str) -> None:
    for how in ("w", "w:gz"):
        problem = refused(tar_of({"ok": b"", name: b"x"}, form=form, how=how), tmp_path)
        assert (problem.code, problem.errors[0].entry) == ("archive_path_traversal", name)
        assert problem.hint


def test_a_name_in_an_extended_header_is_judged_and_not_the_one_it_replaces(tmp_path: Path) -> None:
    evil = pax(record(b"path", b"../evil")) + block("ok")
    assert refused(raw_tar(evil), tmp_path).code == "archive_path_traversal"
    good = pax(record(b"path", b"ok")) + block("../evil")
    assert contents(raw_tar(good), tmp_path) == {"ok": b""}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", ["a", "x" * 200])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(tmp_path: Path, form: int, target: str, kind: bytes) -> None:
    if form == tarfile.USTAR_FORMAT:
        target = target[:99]
    problem = refused(tar_of({"a": b"", "link": b""}, form=form, type=kind, linkname=target), tmp_path)
    assert problem.code == "archive_link_not_allowed"


def test_a_chain_of_links_that_fools_a_filter_is_refused_at_its_first(tmp_path: Path) -> None:
    """Folders and links so long that resolving them fails silently, then a way out: how tarfile's filter was passed."""
    long = "d" * 247
    parts = []
    for level in "abcdefghijklmnop":
        parts += [block(f"{long}/", tarfile.GNU_FORMAT, type=b"5"), block(level, type=b"2", linkname="d" * 99)]
    parts += [block("escape", type=b"2", linkname="a/b/c/../../../../../etc"), block("escape/passwd", size=4), b"evil"]
    problem = refused(raw_tar(*parts), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_link_not_allowed", "a")
    assert list(tmp_path.iterdir()) == [tmp_path / "packed"]


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"7", b"S", b"M", b"V", b"D", b"X", b"Z", b"\xff"])
def test_what_is_neither_a_file_nor_a_folder_is_unsupported(tmp_path: Path, kind: bytes) -> None:
    problem = refused(raw_tar(patched(block("odd"), 156, kind)), tmp_path)
    assert (problem.code, problem.errors[0].entry) == ("archive_unsupported", "odd")


def test_sparse_files_are_unsupported_in_the_way_of_pax_too(tmp_path: Path) -> None:
    for key in (b"GNU.sparse.major", b"GNU.sparse.map", b"GNU.sparse.size", b"SCHILY.realsize"):
        assert refused(raw_tar(pax(record(key, b"1")) + block("a")), tmp_path).code == "archive_unsupported"


@pytest.mark.parametrize("name", [b"a\nb", b"CON", b"a.", b"a//b", b"\xff\xfe", b"a/" * 33 + b"b", b"a\\b", b""])
def test_bad_names_are_refused(tmp_path: Path, name: bytes) -> None:
    assert refused(raw_tar(patched(block("x" * 80), 0, name.ljust(100, b"\0"))), tmp_path).code == "archive_bad_name"


def test_names_beyond_the_header_can_be_bad_too(tmp_path: Path) -> None:
    for name in (b"n" * 256, b"a\0b", b"\xff", b"nul"):
        assert refused(raw_tar(pax(record(b"path", name)) + block("a")), tmp_path).code == "archive_bad_name"
        long = block("././@LongLink", type=b"L", size=len(name) + 1) + (name + b"\0").ljust(512, b"\0")
        assert refused(raw_tar(long + block("a")), tmp_path).code == "archive_bad_name"


@pytest.mark.parametrize("names", [("a", "A"), ("\u00e9", "e\u0301"), ("a", "a/b"), ("a/b", "a")])
def test_names_that_differ_in_nothing_that_counts_are_duplicates(tmp_path: Path, names: Any) -> None:
    assert refused(tar_of(dict.fromkeys(names, b"x")), tmp_path).code == "archive_duplicate_entry"


def test_the_same_name_twice_is_a_duplicate(tmp_path: Path) -> None:
    assert refused(raw_tar(block("a"), block("a")), tmp_path).code == "archive_duplicate_entry"


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    limits = ArchiveLimits(max_entries=20)
    files = {str(i): b"" for i in range(21)}
    assert refused(tar_of(files), tmp_path, limits).code == "archive_too_many_entries"
    litter = raw_tar(*[block(".DS_Store")] * 100)
    assert refused(litter, tmp_path, limits).code == "archive_too_many_entries"
    members = b"".join(gzip.compress(b"") for _ in range(21)) + gzip.compress(tar_of({"a": b""}))
    assert refused(members, tmp_path, limits).code == "archive_too_many_entries"


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (124, b"0000000009 "),  # no octal digit
        (124, b"-0000000001 "),
        (124, b"0o000000017 "),
        (124, b"            "),
        (124, b"\xff" * 12),  # a negative number in binary
        (124, b"\x80" + b"\xff" * 11),  # 2**88 - 1
        (124, b"77777777777\0"),
    ],
)
def test_sizes_that_are_none_or_beyond_the_archive_are_corrupt(tmp_path: Path, at: int, value: bytes) -> None:
    data = raw_tar(patched(block("a"), at, value))
    assert refused(data, tmp_path).code == "archive_corrupt"
    assert refused(gzip.compress(data), tmp_path).code == "archive_corrupt"


@pytest.mark.parametrize(
    "data",
    [
        pax(b"7 path=") + block("a"),
        pax(b"0 path=a\n") + block("a"),
        pax(b"99 path=a\n") + block("a"),
        pax(b"x path=a\n") + block("a"),
        pax(b"8 patha\n") + block("a"),
        pax(b"9" * 600) + block("a"),
        pax(record(b"path", b"")) + block("a"),
        pax(record(b"path", b"a"), record(b"path", b"b")) + block("a"),
        pax(record(b"size", b"-1")) + block("a"),
        pax(record(b"size", b"1_0")) + block("a"),
        pax(record(b"size", b"1" * 21)) + block("a"),
        pax(record(b"path", b"a")) + pax(record(b"path", b"b")) + block("a"),
        pax(record(b"path", b"a")),
        block("folder", type=b"5", size=512) + bytes(512),
        patched(block("a"), 0, b"b")[:100] + block("a")[100:],
    ],
)
def test_damaged_headers_are_corrupt(tmp_path: Path, data: bytes) -> None:
    assert refused(raw_tar(block("first"), data), tmp_path).code == "archive_corrupt"


def test_extended_headers_have_a_limit(tmp_path: Path) -> None:
    assert refused(raw_tar(pax(record(b"comment", b"x" * 70_000)) + block("a")), tmp_path).code == "archive_unsupported"
    assert contents(raw_tar(pax(record(b"comment", b"x" * 60_000)) + block("a")), tmp_path) == {"a": b""}


def test_extended_headers_have_a_limit_together(tmp_path: Path) -> None:
    comment = record(b"comment", b"x" * 100)
    entries = [pax(comment) + block(f"{n}") for n in range(3)]
    limits = ArchiveLimits(max_extended_bytes=3 * len(comment))
    assert len(contents(raw_tar(*entries), tmp_path, limits)) == 3
    shared = block("pax_global_header", type=b"g", size=len(comment))
    assert refused(raw_tar(*entries, shared, comment, block("3")), tmp_path, limits).code == "archive_unsupported"


def test_a_header_for_the_whole_archive_may_hold_a_comment_and_no_names(tmp_path: Path) -> None:
    def with_global(key: bytes) -> bytes:
        data = record(key, b"52aa5b1")
        return raw_tar(block("pax_global_header", type=b"g", size=len(data)), data, block("a"))

    assert contents(with_global(b"comment"), tmp_path) == {"a": b""}
    for key in (b"path", b"size", b"linkpath", b"GNU.sparse.name"):
        assert refused(with_global(key), tmp_path).code == "archive_unsupported"


def test_sizes_in_extended_headers_and_in_binary_count(tmp_path: Path) -> None:
    said = pax(record(b"size", b"600")) + block("a") + b"x" * 600
    assert contents(raw_tar(said, block("b")), tmp_path) == {"a": b"x" * 600, "b": b""}
    binary = patched(block("a"), 124, b"\x80" + bytes(9) + b"\x02\x58") + b"x" * 600
    assert contents(raw_tar(binary, block("b")), tmp_path) == {"a": b"x" * 600, "b": b""}


def test_other_forms_are_unsupported(tmp_path: Path) -> None:
    old = patched(block("a"), 257, bytes(8))
    assert refused(raw_tar(old), tmp_path).code == "archive_unsupported"
    assert refused(raw_tar(block("a"), old), tmp_path).code == "archive_unsupported"
    backup = patched(patched(block("a"), 257, b"ustar  \0"), 345, b"14732156271\0")
    assert refused(raw_tar(block("a"), backup), tmp_path).code == "archive_unsupported"


def test_a_tar_ends_with_two_blocks_of_zeros_and_nothing_after_them(tmp_path: Path) -> None:
    honest = block("a", size=5) + b"hello".ljust(512, b"\0")
    assert contents(honest + bytes(1024), tmp_path) == {"a": b"hello"}
    assert contents(honest + bytes(10240), tmp_path) == {"a": b"hello"}
    for end in (
        b"",
        bytes(512),
        bytes(1023),
        bytes(1024) + b"x",
        bytes(512) + block("b") + bytes(1024),
        bytes(2 << 20),
    ):
        assert refused(honest + end, tmp_path).code == "archive_corrupt"
        assert refused(gzip.compress(honest + end), tmp_path).code == "archive_corrupt"
    for cut in (100, 511, 513, 600, 1023):
        assert refused(honest[:cut] + b"", tmp_path).code in {"archive_corrupt", "archive_unsupported"}


def test_a_zipped_tar_may_be_of_several_members(tmp_path: Path) -> None:
    data = tar_of({"a": NOISE, "b": b"x"})
    parts = b"".join(gzip.compress(data[i : i + 700]) for i in range(0, len(data), 700))
    assert contents(parts, tmp_path) == {"a": NOISE, "b": b"x"}


def test_a_zipped_tar_is_checked_to_its_last_byte(tmp_path: Path) -> None:
    good = gzip.compress(tar_of({"a": NOISE}))
    damaged = [
        good[:-1], good[:-8], good[:200], good[:5], good + b"x", good + b"\x1f\x8b", good + bytes(8),
        good[:-8] + b"\0\0\0\0" + good[-4:], good[:-4] + b"\0\0\0\0", good[:100] + b"\0\0\0\0" + good[104:],
    ]  # fmt: skip
    assert [refused(data, tmp_path).code for data in damaged] == ["archive_corrupt"] * len(damaged)


def test_gzip_files_that_hold_no_tar_are_unsupported(tmp_path: Path) -> None:
    assert refused(gzip.compress(b"text" * 1000), tmp_path).code == "archive_unsupported"
    assert refused(gzip.compress(b"short"), tmp_path).code == "archive_corrupt"


def test_a_zipped_bomb_is_stopped_while_it_goes_off(tmp_path: Path) -> None:
    packed = gzip_of_zeros(block("zeros", size=99 << 20), 100)
    assert refused(packed, tmp_path).code == "archive_bomb"
    limits = ArchiveLimits(max_unpacked_bytes=16 << 20, ratio_from_bytes=1 << 40)
    assert refused(packed, tmp_path, limits).code == "archive_bomb"


def test_all_entries_together_have_a_limit(tmp_path: Path) -> None:
    files = {"a": NOISE, "b": NOISE}
    assert refused(tar_of(files), tmp_path, ArchiveLimits(max_unpacked_bytes=9_999)).code == "archive_bomb"
    assert contents(tar_of(files), tmp_path, ArchiveLimits(max_unpacked_bytes=10_000)) == files


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_entries_are_read_in_any_order(tmp_path: Path, mode: str) -> None:
    files = {str(i): bytes([i]) * 700 for i in range(20)}
    path = tmp_path / "t"
    path.write_bytes(tar_of(files, how=mode))
    with open_archive(path, LIMITS) as archive:
        for entry in [*archive.entries[::-3], *archive.entries]:
            assert archive.read(entry, max_bytes=700) == files[entry.name]


def test_two_entries_are_read_side_by_side(tmp_path: Path) -> None:
    files = {"a": NOISE * 700, "b": NOISE[::-1] * 700}
    path = tmp_path / "t"
    path.write_bytes(tar_of(files, how="w:gz"))
    with open_archive(path, LIMITS) as archive:
        pairs = list(zip(*map(archive.pieces, archive.entries), strict=False))
        assert len(pairs) >= 3
        assert all(files["a"].startswith(a) or a in files["a"] for a, _ in pairs)


def test_folders_as_tar_packs_a_whole_one(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name in (".", "./a", "./a/b"):
            out.addfile(member(name, type=tarfile.DIRTYPE))
        out.addfile(member("./a/b/c.txt", size=1), io.BytesIO(b"x"))
    assert contents(buffer.getvalue(), tmp_path) == {"a/b/c.txt": b"x"}
