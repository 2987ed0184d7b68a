"""Files on their way between a scratch folder and the store."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.storage import ChecksumMismatch, StoreUnavailable
from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID
from tests.workers.supervision.conftest import CONTENT, SHA256
from workers.supervision.transfers import Transfers


class _Stop(Exception):
    pass


def _stop_after(seconds: float) -> Callable[[], None]:
    deadline = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > deadline:
            raise _Stop

    return check


class _StuckStore(DirectoryStore):
    def put_file(self, path: Path, **where: Any) -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(1):
                time.sleep(0.05)


def test_an_upload_that_is_interrupted_stops_reading(tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(b"x" * 10_000)
    transfers = Transfers(_StuckStore(tmp_path / "store"), _stop_after(0.5))
    with pytest.raises(_Stop):
        transfers.put_file(tmp_path / "result", tenant_id=DEFAULT_TENANT_ID, sha256=SHA256)
    assert (tmp_path / "result").stat().st_size == 0
    time.sleep(0.5)
    assert not [t for t in threading.enumerate() if t.name == "beside"]


class _LateStore(DirectoryStore):
    failures = 2

    def put_file(self, path: Path, **where: Any) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreUnavailable("it is starting")
        super().put_file(path, **where)


def test_a_result_waits_for_a_store_that_is_away_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(CONTENT)
    store = _LateStore(tmp_path / "store")
    Transfers(store, lambda: None).put_patiently(tmp_path / "result", tenant_id=DEFAULT_TENANT_ID, sha256=SHA256)
    assert store.size(tenant_id=DEFAULT_TENANT_ID, sha256=SHA256) == len(CONTENT)


class _DamagingStore(DirectoryStore):
    """Flips a bit in as many answers as it is told to."""

    damages = 0

    @contextmanager
    def open(self, **where: Any) -> Iterator[Iterator[bytes]]:
        self.damages -= 1
        with super().open(**where) as chunks:
            yield self._damaged(chunks) if self.damages >= 0 else chunks

    def _damaged(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk[:-1] + bytes([chunk[-1] ^ 1])


@pytest.fixture
def damaging(tmp_path: Path, store: DirectoryStore) -> _DamagingStore:
    return _DamagingStore(tmp_path / "store")


def _download(store: DirectoryStore, path: Path, check: Callable[[], None] = lambda: None) -> None:
    Transfers(store, check).download(path, tenant_id=DEFAULT_TENANT_ID, sha256=SHA256)


def test_a_file_that_arrives_damaged_is_fetched_once_more(tmp_path: Path, damaging: _DamagingStore) -> None:
    damaging.damages = 1
    _download(damaging, tmp_path / "input")
    assert (tmp_path / "input").read_bytes() == CONTENT


def test_a_file_that_arrives_damaged_twice_is_not_there(tmp_path: Path, damaging: _DamagingStore) -> None:
    damaging.damages = 2
    with pytest.raises(ChecksumMismatch):
        _download(damaging, tmp_path / "input")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "store"]


class _SilentStore(DirectoryStore):
    """Answers late, or goes on late with its answer, as one beyond a network that swallows packets."""

    answers_at_once = False
    speaks = threading.Event()

    @contextmanager
    def open(self, **where: Any) -> Iterator[Iterator[bytes]]:
        if not self.answers_at_once:
            self.speaks.wait(30)
        with super().open(**where) as chunks:
            yield self._slowly(chunks)

    def _slowly(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk[:100]
            self.speaks.wait(30)
            yield chunk[100:]


@pytest.mark.pace
@pytest.mark.parametrize("answers_at_once", [False, True])
def test_a_store_that_falls_silent_does_not_hold_up_who_must_stop(
    tmp_path: Path, store: DirectoryStore, answers_at_once: bool
) -> None:
    silent = _SilentStore(tmp_path / "store")
    silent.answers_at_once, silent.speaks = answers_at_once, threading.Event()
    started = time.monotonic()
    with pytest.raises(_Stop):
        _download(silent, tmp_path / "input", _stop_after(0.3))
    assert time.monotonic() - started < 2.0
    silent.speaks.set()
    time.sleep(0.3)
    assert not [t for t in threading.enumerate() if t.name == "beside"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "store"]  # nothing half, nothing late
