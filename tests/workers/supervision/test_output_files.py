"""A job's process is not trusted with names: only plain files of its own output folder are published."""

import hashlib
import os
from pathlib import Path

import pytest

from app.storage.directory import DirectoryStore
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.output_files import FREE_HOLES_BYTES, opened_output, store_output
from workers.supervision.transfers import Transfers


def test_a_plain_file_is_published(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with opened_output(tmp_path, "model.onnx") as descriptor:
        assert os.read(descriptor, 10) == b"x"


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "folder", "link", "twin", "pipe", "missing", "", ".", "a\0b"]
)
def test_anything_else_is_not(tmp_path: Path, name: str) -> None:
    outputs = tmp_path / "outputs"
    (outputs / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("ours")
    (outputs / "link").symlink_to(tmp_path / "secret")
    (outputs / "twin").hardlink_to(tmp_path / "secret")
    os.mkfifo(outputs / "pipe")
    with pytest.raises(OutputUnusable), opened_output(outputs, name):
        pass


def test_a_linked_output_folder_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "admin.key").write_text("secret")
    (tmp_path / "outputs").symlink_to(tmp_path / "ours")
    with pytest.raises(OutputUnusable), opened_output(tmp_path / "outputs", "admin.key"):
        pass


def test_what_is_stored_is_what_lies_there(tmp_path: Path) -> None:
    content = os.urandom(5 << 20)
    (tmp_path / "model.onnx").write_bytes(content)
    store = DirectoryStore(tmp_path / "store")
    digest = hashlib.sha256(content).hexdigest()
    kept = store_output(tmp_path, "model.onnx", tenant_id="ten_1", transfers=Transfers(store, lambda: None))
    assert kept == (len(content), digest)
    assert store.size(tenant_id="ten_1", sha256=digest) == len(content)


def sparse(path: Path, *, size: int, filled: int) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(filled))
        file.truncate(size)


def test_a_file_of_holes_is_not_stored(tmp_path: Path) -> None:
    """It takes no scratch, and would fill the store."""
    transfers = Transfers(DirectoryStore(tmp_path / "store"), lambda: None)
    sparse(tmp_path / "huge", size=8 << 40, filled=1 << 20)
    sparse(tmp_path / "just", size=FREE_HOLES_BYTES + (1 << 20), filled=6 << 20)
    sparse(tmp_path / "nearly", size=FREE_HOLES_BYTES + (1 << 20), filled=7 << 20)
    for name in ("huge", "just"):
        with pytest.raises(OutputUnusable, match="holes"):
            store_output(tmp_path, name, tenant_id="ten_1", transfers=transfers)
    assert store_output(tmp_path, "nearly", tenant_id="ten_1", transfers=transfers).bytes == 65 << 20


def test_whoever_must_stop_stops_in_the_middle_of_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StopNow(Exception):
        pass

    left = iter([None, None])

    def check() -> None:
        if next(left, StopNow) is StopNow:
            raise StopNow

    monkeypatch.setattr(Transfers, "put_patiently", lambda *_, **__: pytest.fail("it was read to its end"))
    (tmp_path / "large").write_bytes(os.urandom(32 << 20))
    transfers = Transfers(DirectoryStore(tmp_path / "store"), check)
    with pytest.raises(StopNow):
        store_output(tmp_path, "large", tenant_id="ten_1", transfers=transfers)
