"""What is particular to a directory: permissions, disks that fail, processes that die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.storage import StoreUnavailable
from app.storage.directory import DirectoryStore
from tests.app.storage.conftest import TENANT, Disk, Stored

ABSENT = "0" * 64


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    files = tmp_path / "files"
    files.mkdir()
    return Stored(DirectoryStore(tmp_path / "objects"), Disk(tmp_path / "objects"), files)


def test_only_the_owner_may_look_inside(stored: Stored, tmp_path: Path) -> None:
    stored.put(b"x")
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "objects").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}
    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700


def test_a_disk_that_is_not_mounted_is_not_an_empty_store(stored: Stored, tmp_path: Path) -> None:
    sha256 = stored.put(b"x")
    (tmp_path / "objects").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="is its disk mounted"):
        stored.read(sha256)
    with pytest.raises(StoreUnavailable):
        stored.store.size(tenant_id=TENANT, sha256=sha256)
    with pytest.raises(StoreUnavailable):
        stored.put(b"y")
    with pytest.raises(StoreUnavailable):
        stored.store.delete(tenant_id=TENANT, sha256=sha256)
    with pytest.raises(StoreUnavailable):
        stored.store.check()


def test_a_root_that_cannot_be_a_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        DirectoryStore(tmp_path / "file" / "objects")


def test_a_full_disk_is_unavailable_and_shows_nothing(stored: Stored, tmp_path: Path) -> None:
    """A limit on file sizes stands in for the full disk: the same call fails in the same way."""
    path, sha256 = stored.file(bytes(3_000_000))
    script = f"""
import resource
from pathlib import Path
from app.storage import StoreUnavailable
from app.storage.directory import DirectoryStore
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
try:
    DirectoryStore(Path({str(tmp_path / "objects")!r})).put_file(Path({str(path)!r}), tenant_id="t", sha256={sha256!r})
except StoreUnavailable as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot be used: File too large" in answer.stdout
    assert stored.backing.keys() == []
    assert stored.backing.unfinished() == []


def test_a_killed_copy_shows_nothing_and_is_cleaned_up_a_day_later(stored: Stored, tmp_path: Path) -> None:
    pipe = tmp_path / "endless"
    os.mkfifo(pipe)
    script = f"""
from pathlib import Path
from app.storage.directory import DirectoryStore
DirectoryStore(Path({str(tmp_path / "objects")!r})).put_file(Path({str(pipe)!r}), tenant_id="t", sha256="{ABSENT}")
"""
    with subprocess.Popen([sys.executable, "-c", script]) as copying, pipe.open("wb") as source:
        source.write(bytes(3_000_000))  # more than one chunk: the copy has begun
        source.flush()
        copying.send_signal(signal.SIGKILL)
        assert copying.wait() == -signal.SIGKILL
    assert stored.backing.keys() == []
    (name,) = stored.backing.unfinished()

    DirectoryStore(tmp_path / "objects")
    assert stored.backing.unfinished() == [name], "it could belong to a copy in progress"
    yesterday = time.time() - 24 * 3600 - 1
    os.utime(tmp_path / "objects" / "staging" / name, (yesterday, yesterday))
    DirectoryStore(tmp_path / "objects")
    assert stored.backing.unfinished() == []


def test_a_source_that_cannot_be_read_is_the_callers_error(stored: Stored) -> None:
    with pytest.raises(IsADirectoryError):
        stored.store.put_file(stored.files, tenant_id=TENANT, sha256=ABSENT)
