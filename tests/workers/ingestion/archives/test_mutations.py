"""Honest archives of which one thing was changed: a byte, a field, or where a piece begins and ends.

Whatever comes of it, either the same bytes come out as from Python's own reader, or a problem with a code of archives.
"""

import gzip
import random
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.archives.building import Member, contents, patched, raw_zip, tar_of, zip_of
from tests.workers.ingestion.archives.reference import CODES, read_by_python
from workers.ingestion.archives import ArchiveLimits, open_archive

LIMITS = ArchiveLimits(max_unpacked_bytes=4 << 20, max_entries=50, ratio_from_bytes=1 << 20)
FILES = {"model.onnx": random.Random(0).randbytes(700), "a/b.json": b'{"a": 1}' * 90, "ü.txt": b"", "a/c.png": b"png"}
QUICK = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

HONEST = {
    "stored": zip_of(FILES, zipfile.ZIP_STORED),
    "deflated": zip_of(FILES, comment=b"4a3b"),
    "ustar": tar_of(FILES, form=tarfile.USTAR_FORMAT),
    "gnu": tar_of({"n" * 120: b"x", **FILES}, form=tarfile.GNU_FORMAT),
    "pax": tar_of({"n" * 120: b"x", **FILES}, form=tarfile.PAX_FORMAT, mtime=1.5),
    "gzip": tar_of(FILES, how="w:gz"),
}
INTERESTING = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, ord("/"), ord("."), ord("7"), ord("K"), ord("P")])


def judge(data: bytes, folder: Path) -> None:
    ours = code_or_result(lambda: contents(data, folder, LIMITS))
    assert ours in CODES if isinstance(ours, str) else ours == read_by_python(data)


def code_or_result(read: Callable[[], dict[str, bytes]]) -> dict[str, bytes] | str:
    try:
        return read()
    except ProblemFound as found:
        return found.problem.code


@pytest.mark.parametrize("kind", HONEST)
@QUICK
@given(data=st.data())
def test_one_byte(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    honest = HONEST[kind]
    at = data.draw(st.integers(0, len(honest) - 1))
    value = data.draw(st.one_of(INTERESTING, st.integers(0, 255)))
    judge(honest[:at] + bytes([value]) + honest[at + 1 :], tmp_path)


@pytest.mark.parametrize("kind", HONEST)
@QUICK
@given(data=st.data())
def test_a_piece_that_is_lost_doubled_or_moved(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    honest = HONEST[kind]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(honest)), min_size=3, max_size=3)))
    a, b, c, d = (honest[i:j] for i, j in zip([0, *cuts], [*cuts, len(honest)], strict=True))
    judge(data.draw(st.sampled_from([a + c + d, a + b + b + c + d, a + c + b + d, a + b, c + d])), tmp_path)


NUMBERS = st.sampled_from([0, 1, 7, 8, 30, 46, 700, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1])
FIELDS = st.dictionaries(
    st.sampled_from(["crc", "packed", "size", "offset"]), NUMBERS, min_size=1, max_size=2
) | st.dictionaries(st.sampled_from(["flags", "method", "disk"]), NUMBERS.map(lambda n: n & 0xFFFF), min_size=1)


@QUICK
@given(
    local=FIELDS | st.just({}), central=FIELDS, deflated=st.booleans(), extra=st.binary(max_size=30), same=st.booleans()
)
def test_fields_of_a_zip(
    tmp_path: Path, local: dict[str, int], central: dict[str, int], deflated: bool, extra: bytes, same: bool
) -> None:
    """`same`: both headers lie alike."""
    odd = Member(
        b"odd", b"xy" * 350, deflated=deflated, extra=extra, local=central if same else local, central=central
    )  # fmt: skip
    judge(raw_zip(Member(b"first"), odd, Member(b"last")), tmp_path)


@QUICK
@given(
    kind=st.sampled_from(["ustar", "gnu", "pax"]),
    index=st.integers(0, 12),
    at=st.sampled_from([0, 99, 100, 124, 125, 135, 156, 157, 257, 263, 345, 500]),
    value=st.binary(min_size=1, max_size=12),
    zipped=st.booleans(),
)
def test_fields_of_a_tar_under_a_fitting_checksum(
    tmp_path: Path, kind: str, index: int, at: int, value: bytes, zipped: bool
) -> None:
    honest = HONEST[kind]
    start = min(index * 512, len(honest) - 512)
    forged = honest[:start] + patched(honest[start : start + 512], at, value[: 512 - at]) + honest[start + 512 :]
    judge(gzip.compress(forged) if zipped else forged, tmp_path)


ANY_NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda s: s[0] != "\0")


@pytest.mark.parametrize("make", [zip_of, tar_of])
@QUICK
@given(names=st.lists(ANY_NAME | st.sampled_from(["../x", "/x", "a", "A", "a/b"]), min_size=1, max_size=4))
def test_any_names_stay_within_the_folder(tmp_path: Path, make: Callable[..., bytes], names: list[str]) -> None:
    folder, path = tmp_path / "outer" / "out", tmp_path / "packed"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make(dict.fromkeys(names, b"x")))
    with suppress(ProblemFound), open_archive(path, LIMITS) as archive:
        written = archive.extract_all(folder)
        assert all(p.resolve().is_relative_to(folder) and p.is_file() for p in written)
    assert {p.name for p in tmp_path.rglob("*") if not p.is_relative_to(folder)} == {"outer", "packed"}
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
