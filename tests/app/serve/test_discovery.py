"""Which service `lowbit` finds where several run on one machine."""

import json
import os
from pathlib import Path

import pytest
from lowbit import NoConnection
from lowbit.discovery import locate

from app.serve.data_directory import DataDirectory
from app.serve.discovery import ServiceNote


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("LOWBIT_URL", "LOWBIT_TOKEN", "LOWBIT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


class Standing:
    """All of a service that others can see: the lock, the key and the note."""

    def __init__(self, root: Path, port: int) -> None:
        root.mkdir(exist_ok=True)
        self.root, self.url = root, f"http://127.0.0.1:{port}"
        self._lock: int | None = DataDirectory(root).lock()
        (root / "admin.key").write_text(f"key-{port}\n")
        self.note = ServiceNote(root)
        self.told = self.note.write(url=self.url, key_file=root / "admin.key")

    def stop(self) -> None:
        self.note.remove()
        self.kill()

    def kill(self) -> None:
        """Without a chance to take the note away."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def test_the_first_of_two_services_stays_the_one_that_is_found(tmp_path: Path) -> None:
    first, second = Standing(tmp_path / "a", 1), Standing(tmp_path / "b", 2)
    assert (first.told, second.told) == (None, first.url)
    assert locate().url == first.url
    second.stop()
    assert locate().url == first.url
    first.stop()
    with pytest.raises(NoConnection, match="LOWBIT_DATA_DIR"):
        locate()


def test_each_of_two_services_is_found_by_its_data_directory_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Standing(tmp_path / "a", 1), Standing(tmp_path / "b", 2)
    for service in both:
        monkeypatch.setenv("LOWBIT_DATA_DIR", str(service.root))
        assert (locate().url, locate().token) == (service.url, f"key-{service.url[-1]}")
    for service in both:
        service.stop()


def test_a_note_of_a_service_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """Its process id may be another process's by now: this one's, here."""
    first = Standing(tmp_path / "a", 1)
    first.kill()
    second = Standing(tmp_path / "b", 2)
    assert second.told is None
    assert locate().url == second.url
    second.stop()


def test_a_service_replaces_its_own_note(tmp_path: Path) -> None:
    before = Standing(tmp_path / "a", 1)
    before.kill()
    after = Standing(tmp_path / "a", 2)
    assert (after.told, locate().url) == (None, after.url)
    after.stop()


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"data_dir": 3, "url": "http://x"}', '{"data_dir": "/nowhere", "url": "x"}']
)
def test_a_note_that_tells_of_no_service_is_replaced(tmp_path: Path, note: str) -> None:
    shared = tmp_path / "state" / "lowbit" / "service.json"
    shared.parent.mkdir(parents=True)
    shared.write_text(note)
    service = Standing(tmp_path / "a", 1)
    assert json.loads(shared.read_text())["url"] == service.url
    service.stop()
    assert not shared.exists()


def test_looking_at_a_lock_neither_takes_nor_breaks_it(tmp_path: Path) -> None:
    service = Standing(tmp_path / "a", 1)
    assert DataDirectory(service.root).is_in_use()
    assert DataDirectory(service.root).is_in_use()
    service.kill()
    assert not DataDirectory(service.root).is_in_use()
    os.close(DataDirectory(service.root).lock())
