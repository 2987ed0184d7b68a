"""Files on their way between the scratch folder and the store: each may take an hour, and stops when asked."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from app.storage import ChecksumMismatch, ObjectStore, StoreUnavailable
from app.storage.verification import verified
from app.storage.whole_file import write_whole
from workers.supervision.beside import CHECK_SECONDS, beside

log = structlog.get_logger("lowbit.transfers")

PATIENCE_SECONDS = 120.0
"""How long a result that is ready waits for its store: to bring the job back later costs more."""
FIRST_PAUSE_SECONDS = 1.0


class FileStore(Protocol):
    """The part of an `ObjectStore` that moves whole files."""

    def download(self, path: Path, *, tenant_id: str, sha256: str) -> None: ...

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None: ...


@dataclass(frozen=True)
class Transfers:
    """A `FileStore` whose operations end when `check` raises."""

    store: ObjectStore
    check: Callable[[], None]

    def download(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """Fetched once more if it arrives damaged: then the store itself holds what is damaged, most likely."""
        try:
            self._fetch(path, tenant_id=tenant_id, sha256=sha256)
        except ChecksumMismatch:
            log.warning("a file arrived damaged and is fetched again", sha256=sha256)
            self._fetch(path, tenant_id=tenant_id, sha256=sha256)

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """The file is cut short when this is interrupted, so that the rest of it is not sent for nobody."""
        try:
            beside(lambda: self.store.put_file(path, tenant_id=tenant_id, sha256=sha256), self.check)
        except StoreUnavailable:
            raise
        except BaseException:
            os.truncate(path, 0)
            raise

    def put_patiently(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """Try again while the store is away, within reason."""
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
        while True:
            try:
                self.put_file(path, tenant_id=tenant_id, sha256=sha256)
            except StoreUnavailable as error:
                if time.monotonic() + pause > deadline:
                    raise
                log.warning("the store does not take a result yet", error=str(error))
                self._pause(pause)
                pause *= 2
            else:
                return

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, CHECK_SECONDS))

    def _fetch(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """A store that falls silent is not waited for when this is interrupted, and what it sends later is dropped."""
        given_up = threading.Event()

        def fetch() -> None:
            with self.store.open(tenant_id=tenant_id, sha256=sha256) as chunks:
                write_whole(path, verified(_unless(given_up, chunks), sha256))

        try:
            beside(fetch, self.check)
        finally:
            given_up.set()


class _GivenUp(Exception):
    """Ends a thread for which nobody waits."""


def _unless(given_up: threading.Event, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if given_up.is_set():
            raise _GivenUp
        yield chunk
