"""What every store promises, tried on a real directory and on a real S3 server."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.storage import ChecksumMismatch, ObjectMissing
from tests.app.storage.conftest import TENANT, Stored

SEVERAL_PARTS = os.urandom(17 * 1024 * 1024 + 1)  # three parts of 8 MiB on S3, the last one short
ABSENT = "0" * 64


@pytest.mark.parametrize("content", [b"", b"x", b"0123456789" * 1000, SEVERAL_PARTS], ids=len)
def test_what_was_put_comes_back(stored: Stored, content: bytes, tmp_path: Path) -> None:
    sha256 = stored.put(content)
    copy = tmp_path / "copy"
    stored.store.download(copy, tenant_id=TENANT, sha256=sha256)
    assert copy.read_bytes() == content
    assert stored.read(sha256) == content
    assert stored.store.size(tenant_id=TENANT, sha256=sha256) == len(content)


def test_the_key_names_tenant_and_digest(stored: Stored) -> None:
    sha256 = stored.put(b"x")
    assert stored.backing.keys() == [f"t/tenant-1/sha256/{sha256[:2]}/{sha256}"]


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 3, b"012"),
        (4, None, b"456789"),
        (4, 2, b"45"),
        (9, 1, b"9"),
        (8, 100, b"89"),
        (0, 0, b""),
        (5, 0, b""),
        (10, None, b""),
        (11, 5, b""),
    ],
)
def test_a_range_reads_like_a_slice(stored: Stored, start: int, length: int | None, expected: bytes) -> None:
    sha256 = stored.put(b"0123456789")
    assert stored.read(sha256, start, length) == expected


def test_a_range_across_parts_and_chunks(stored: Stored) -> None:
    sha256 = stored.put(SEVERAL_PARTS)
    start, length = 8 * 1024 * 1024 - 5, 2 * 1024 * 1024
    assert stored.read(sha256, start, length) == SEVERAL_PARTS[start : start + length]


def test_a_negative_range_is_refused(stored: Stored) -> None:
    sha256 = stored.put(b"x")
    with pytest.raises(ValueError, match="at least 0"):
        stored.read(sha256, start=-1)


def test_the_source_is_left_alone(stored: Stored) -> None:
    path, sha256 = stored.file(b"mine")
    stored.store.put_file(path, tenant_id=TENANT, sha256=sha256)
    path.write_bytes(b"changed afterwards")
    assert stored.read(sha256) == b"mine"


@pytest.mark.parametrize("content", [b"x", SEVERAL_PARTS], ids=len)
def test_a_wrong_digest_leaves_nothing(stored: Stored, content: bytes) -> None:
    path, _ = stored.file(content)
    with pytest.raises(ChecksumMismatch):
        stored.store.put_file(path, tenant_id=TENANT, sha256=ABSENT)
    assert stored.store.size(tenant_id=TENANT, sha256=ABSENT) is None
    assert stored.backing.keys() == []
    assert stored.backing.unfinished() == []


def test_the_second_put_changes_nothing(stored: Stored) -> None:
    sha256 = stored.put(b"original")
    key = stored.backing.keys()[0]
    stored.backing.overwrite(key, b"Original")  # same size: a second copy would be seen
    stored.put(b"original")
    assert stored.read(sha256) == b"Original"


def test_the_second_put_checks_its_file_too(stored: Stored) -> None:
    sha256 = stored.put(b"original")
    other, _ = stored.file(b"Original")
    with pytest.raises(ChecksumMismatch):
        stored.store.put_file(other, tenant_id=TENANT, sha256=sha256)


def test_the_second_put_notices_a_truncated_object(stored: Stored) -> None:
    stored.put(b"original")
    stored.backing.overwrite(stored.backing.keys()[0], b"orig")
    with pytest.raises(ChecksumMismatch, match="damaged: 4 bytes are stored, 8 are right"):
        stored.put(b"original")


@pytest.mark.parametrize("content", [b"many at once", SEVERAL_PARTS], ids=len)
def test_parallel_puts_of_one_object(stored: Stored, content: bytes) -> None:
    path, sha256 = stored.file(content)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: stored.store.put_file(path, tenant_id=TENANT, sha256=sha256), range(8)))
    assert hashlib.sha256(stored.read(sha256)).hexdigest() == sha256
    assert len(stored.backing.keys()) == 1
    assert stored.backing.unfinished() == []


@pytest.mark.parametrize("content", [b"original", SEVERAL_PARTS], ids=len)
def test_a_put_that_comes_second_keeps_the_first(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Both looked before either was there. What they find afterwards is the first one's."""
    first = bytes(len(content))
    sha256 = stored.put(content)
    stored.backing.overwrite(stored.backing.keys()[0], first)
    nothing_yet = [None]
    really = stored.store._renewed_bytes

    def look(name: str | Path) -> int | None:
        return nothing_yet.pop() if nothing_yet else really(name)

    monkeypatch.setattr(stored.store, "_renewed_bytes", look)
    stored.put(content)
    assert stored.read(sha256) == first
    assert stored.backing.unfinished() == []


def test_tenants_do_not_see_each_other(stored: Stored) -> None:
    sha256 = stored.put(b"secret", tenant_id="one")
    assert stored.store.size(tenant_id="two", sha256=sha256) is None
    with pytest.raises(ObjectMissing):
        stored.read(sha256, tenant_id="two")
    stored.put(b"secret", tenant_id="two")
    stored.store.delete(tenant_id="one", sha256=sha256)
    assert stored.read(sha256, tenant_id="two") == b"secret"


def test_a_missing_object(stored: Stored, tmp_path: Path) -> None:
    assert stored.store.size(tenant_id=TENANT, sha256=ABSENT) is None
    with pytest.raises(ObjectMissing), stored.store.open(tenant_id=TENANT, sha256=ABSENT):
        pytest.fail("entered the block")
    with pytest.raises(ObjectMissing), stored.store.open(tenant_id=TENANT, sha256=ABSENT, length=0):
        pytest.fail("entered the block")
    with pytest.raises(ObjectMissing):
        stored.store.download(tmp_path / "copy", tenant_id=TENANT, sha256=ABSENT)
    assert not (tmp_path / "copy").exists()
    stored.store.delete(tenant_id=TENANT, sha256=ABSENT)


def test_a_deleted_object_is_gone_and_can_come_back(stored: Stored) -> None:
    sha256 = stored.put(b"x")
    stored.store.delete(tenant_id=TENANT, sha256=sha256)
    assert stored.store.size(tenant_id=TENANT, sha256=sha256) is None
    assert stored.backing.keys() == []
    assert stored.put(b"x") == sha256
    assert stored.read(sha256) == b"x"


def test_a_damaged_object_is_not_downloaded(stored: Stored, tmp_path: Path) -> None:
    sha256 = stored.put(b"original")
    stored.backing.overwrite(stored.backing.keys()[0], b"Original")
    copy = tmp_path / "folder" / "copy"
    copy.parent.mkdir()
    copy.write_bytes(b"before")
    with pytest.raises(ChecksumMismatch):
        stored.store.download(copy, tenant_id=TENANT, sha256=sha256)
    assert copy.read_bytes() == b"before"
    assert list(copy.parent.iterdir()) == [copy]


def test_a_download_is_private_and_leaves_no_other_file(stored: Stored, tmp_path: Path) -> None:
    sha256 = stored.put(b"x")
    copy = tmp_path / "folder" / "copy"
    copy.parent.mkdir()
    stored.store.download(copy, tenant_id=TENANT, sha256=sha256)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert list(copy.parent.iterdir()) == [copy]


def test_a_missing_source_is_the_callers_error(stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        stored.store.put_file(tmp_path / "nothing", tenant_id=TENANT, sha256=ABSENT)


def test_a_download_into_a_missing_folder_is_the_callers_error(stored: Stored, tmp_path: Path) -> None:
    sha256 = stored.put(b"x")
    with pytest.raises(FileNotFoundError):
        stored.store.download(tmp_path / "nothing" / "copy", tenant_id=TENANT, sha256=sha256)


@pytest.mark.parametrize(
    ("tenant_id", "sha256"),
    [
        ("../other", ABSENT),
        ("", ABSENT),
        ("a/b", ABSENT),
        ("one", "../" * 20),
        ("one", "A" * 64),
        ("one", ABSENT + "\n"),
    ],
)
def test_names_that_could_leave_the_store_are_refused(stored: Stored, tenant_id: str, sha256: str) -> None:
    with pytest.raises(ValueError, match=r"a tenant id is|a sha256 is"):
        stored.store.size(tenant_id=tenant_id, sha256=sha256)


def test_a_store_that_answers_is_ready(stored: Stored) -> None:
    stored.store.check()
    assert stored.backing.unfinished() == []
