"""What is particular to a directory: processes that die between two steps, disks that go away, file dates."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.storage import ChecksumMismatch, Part, StoreUnavailable, private_folder
from app.storage.directory import DirectoryStore
from tests.app.storage.conftest import TENANT, Disk, Stored

CONTENT = b"the only part"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAMES = {"tenant_id": TENANT, "upload_id": "upl_1", "handle": ""}


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    files = tmp_path / "files"
    files.mkdir()
    return Stored(DirectoryStore(tmp_path / "objects"), Disk(tmp_path / "objects"), files)


@pytest.fixture
def part(stored: Stored) -> Part:
    stored.store.uploads.begin(tenant_id=TENANT, upload_id="upl_1")
    with stored.store.uploads.receive_part(**NAMES, number=1, part_bytes=len(CONTENT)) as writer:
        writer.write(CONTENT)
        return writer.finish()


def assemble(stored: Stored, part: Part) -> None:
    stored.store.uploads.assemble(**NAMES, parts=[(1, part.etag)], sha256=SHA256, total_bytes=len(CONTENT))


class Killed(BaseException):
    """Stands in for the end of the process at this point."""


def killed(*_: object) -> None:
    raise Killed


def test_the_etag_is_the_crc32_of_the_part(stored: Stored, part: Part) -> None:
    with stored.store.uploads.receive_part(**NAMES, number=2, part_bytes=9) as writer:
        for chunk in (b"1234", b"56789"):
            writer.write(chunk)
        assert writer.finish() == Part(2, 9, "cbf43926")  # the check value that catalogues of CRCs name for CRC-32
    assert [found.etag for found in stored.store.uploads.list_parts(**NAMES)] == [part.etag, "cbf43926"]


def test_only_the_owner_may_look_inside(stored: Stored, part: Part, tmp_path: Path) -> None:
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "objects").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}


def test_parts_outlive_the_process(stored: Stored, part: Part, tmp_path: Path) -> None:
    again = DirectoryStore(tmp_path / "objects")
    assert again.uploads.list_parts(**NAMES) == [part]


def test_killed_before_the_parts_are_removed(stored: Stored, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(private_folder.PrivateFolder, "remove_tree", killed)
        with pytest.raises(Killed):
            assemble(stored, part)
    assert stored.read(SHA256) == CONTENT
    assemble(stored, part)
    assert stored.backing.unfinished() == []


def test_killed_while_the_parts_are_removed(stored: Stored, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(Killed):
            assemble(stored, part)
    assemble(stored, part)
    assert stored.backing.unfinished() == ["1"]
    stored.store.discard_abandoned(3600)
    assert stored.backing.unfinished() == ["1"]
    stored.store.discard_abandoned(-1)
    assert stored.backing.unfinished() == []


def test_a_killed_put_of_a_part_is_not_listed(stored: Stored, part: Part, tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from app.storage.directory import DirectoryStore
uploads = DirectoryStore(Path({str(tmp_path / "objects")!r})).uploads
with uploads.receive_part(**{NAMES}, number=2, part_bytes=10) as writer:
    writer.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert stored.store.uploads.list_parts(**NAMES) == [part]
    assert len(stored.backing.unfinished()) == 2
    stored.store.discard_abandoned(-1)
    assert stored.backing.unfinished() == ["1"]


def test_a_part_damaged_on_the_disk_is_noticed(stored: Stored, part: Part, tmp_path: Path) -> None:
    (path,) = (tmp_path / "objects" / "staging" / "uploads").rglob("1")
    path.write_bytes(b"The only part" + bytes.fromhex(part.etag))
    with pytest.raises(ChecksumMismatch, match="expected sha256"):
        assemble(stored, part)
    assert stored.backing.keys() == []


def test_a_disk_that_is_not_mounted_has_no_parts_to_miss(stored: Stored, part: Part, tmp_path: Path) -> None:
    (tmp_path / "objects").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="is its disk mounted"):
        stored.store.uploads.list_parts(**NAMES)
    with pytest.raises(StoreUnavailable):
        assemble(stored, part)
    with pytest.raises(StoreUnavailable):
        stored.store.uploads.abort(**NAMES)
    with pytest.raises(StoreUnavailable):
        list(stored.store.uploads.staged_uploads())
    with pytest.raises(StoreUnavailable):
        list(stored.store.objects())


def test_an_upload_is_idle_since_its_last_part(stored: Stored, part: Part, tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "staging" / "uploads" / TENANT / "upl_1"
    yesterday = time.time() - 24 * 3600
    os.utime(folder, (yesterday, yesterday))
    (found,) = stored.store.uploads.staged_uploads()
    assert found.idle_seconds > 24 * 3600 - 60
    with stored.store.uploads.receive_part(**NAMES, number=2, part_bytes=1) as writer:
        writer.write(b"x")
        writer.finish()
    (found,) = stored.store.uploads.staged_uploads()
    assert found.idle_seconds < 60


def age(stored: Stored, tmp_path: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(tmp_path / "objects" / stored.backing.keys()[0], (then, then))


def test_a_second_put_makes_an_old_object_young(stored: Stored, tmp_path: Path) -> None:
    sha256 = stored.put(b"x")
    age(stored, tmp_path, hours=48)
    (found,) = stored.store.objects()
    assert 47 * 3600 < found.age_seconds < 49 * 3600
    stored.put(b"x")
    assert not stored.store.delete_older(24 * 3600, tenant_id=TENANT, sha256=sha256)


def test_assembling_makes_an_old_object_young(stored: Stored, part: Part, tmp_path: Path) -> None:
    stored.put(CONTENT)
    age(stored, tmp_path, hours=48)
    assemble(stored, part)
    assert not stored.store.delete_older(24 * 3600, tenant_id=TENANT, sha256=SHA256)
    age(stored, tmp_path, hours=48)
    assemble(stored, part)
    assert not stored.store.delete_older(24 * 3600, tenant_id=TENANT, sha256=SHA256)


def test_an_object_renewed_while_it_is_removed_stays(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector looked and found it old; before it takes the file, somebody puts the same bytes."""
    sha256 = stored.put(b"x")
    age(stored, tmp_path, hours=48)
    rename = Path.rename

    def put_then_rename(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        stored.put(b"x")
        return path.rename(target)

    monkeypatch.setattr(Path, "rename", put_then_rename)
    assert not stored.store.delete_older(24 * 3600, tenant_id=TENANT, sha256=sha256)
    assert stored.read(sha256) == b"x"
    assert stored.backing.unfinished() == []
