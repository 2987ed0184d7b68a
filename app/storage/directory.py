"""Objects as files below one directory: the store of `lowbit serve`, and of hosts that share a file system.

A link appears in one step and fails where the name is taken, so a complete, synced staging file that is linked into
place is what a conditional upload is on S3. Only the service's own user may read (directories 0700, files 0600).
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.storage.byte_range import range_end
from app.storage.errors import ObjectMissing, StoreUnavailable
from app.storage.keys import object_key
from app.storage.verification import CHUNK_BYTES, chunks_of, confirm_stored, verified
from app.storage.whole_file import write_whole

ABANDONED_AFTER_SECONDS = 24 * 3600  # a copy in progress touches its staging file with every chunk


class DirectoryStore:
    """An `ObjectStore` in `root`, which is made if need be. Its file system must know hard links."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / "staging"
        with self._disk_errors():
            _make_private_directory(self._staging)
            _discard_abandoned(self._staging)

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        target = self._path(tenant_id, sha256)
        with path.open("rb") as source:
            stored_bytes = self.size(tenant_id=tenant_id, sha256=sha256)
            if stored_bytes is not None:
                confirm_stored(source, sha256=sha256, stored_bytes=stored_bytes)
            else:
                self._store(target, verified(chunks_of(source), sha256))

    @contextmanager
    def open(
        self, *, tenant_id: str, sha256: str, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        end = range_end(start, length)
        with self._disk_errors():
            descriptor = os.open(self._path(tenant_id, sha256), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield self._read(descriptor, start, end)
        finally:
            os.close(descriptor)

    def download(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        with self.open(tenant_id=tenant_id, sha256=sha256) as chunks:
            write_whole(path, verified(chunks, sha256))

    def size(self, *, tenant_id: str, sha256: str) -> int | None:
        try:
            with self._disk_errors():
                return self._path(tenant_id, sha256).stat().st_size
        except ObjectMissing:
            return None

    def delete(self, *, tenant_id: str, sha256: str) -> None:
        path = self._path(tenant_id, sha256)
        with suppress(ObjectMissing), self._disk_errors():
            path.unlink()
            _sync_directory(path.parent)

    def check(self) -> None:
        """Writes a byte: a full or read-only disk is not ready either."""
        with self._disk_errors(), tempfile.TemporaryFile(dir=self._staging, buffering=0) as probe:
            probe.write(b"\0")

    def _path(self, tenant_id: str, sha256: str) -> Path:
        return self._root / object_key(tenant_id=tenant_id, sha256=sha256)

    def _store(self, target: Path, chunks: Iterable[bytes]) -> None:
        with self._disk_errors():
            descriptor, name = tempfile.mkstemp(dir=self._staging)
        try:
            self._write_synced(descriptor, chunks)
            with self._disk_errors():
                _link_into_place(Path(name), target)
        finally:
            with suppress(OSError):
                Path(name).unlink()

    def _write_synced(self, descriptor: int, chunks: Iterable[bytes]) -> None:
        """Only writing is the disk's doing: an error while the chunks are read is the caller's and passes unchanged."""
        with os.fdopen(descriptor, "wb", buffering=0) as staging:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    with self._disk_errors():
                        rest = rest[staging.write(rest) :]
            with self._disk_errors():
                os.fsync(staging.fileno())

    def _read(self, descriptor: int, start: int, end: int | None) -> Iterator[bytes]:
        position = start
        while end is None or position < end:
            wanted = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - position)
            with self._disk_errors():
                chunk = os.pread(descriptor, wanted, position)
            if not chunk:
                return
            yield chunk
            position += len(chunk)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Say in our own words what the disk refused. An object is not missing when its disk is not mounted."""
        try:
            yield
        except FileNotFoundError as error:
            if self._staging.is_dir():
                raise ObjectMissing(f"no such object: {error.filename}") from error
            raise StoreUnavailable(f"the storage directory {self._root} is not there: is its disk mounted?") from error
        except OSError as error:
            raise StoreUnavailable(f"the storage directory {self._root} cannot be used: {error.strerror}") from error


def _link_into_place(staged: Path, target: Path) -> None:
    """Whoever comes second finds the name taken, by the same bytes: only verified ones get this far."""
    _make_private_directory(target.parent)
    with suppress(FileExistsError):
        target.hardlink_to(staged)
    _sync_directory(target.parent)


def _make_private_directory(directory: Path) -> None:
    """Like `mkdir -p` with mode 0700 for each new level, each of them on disk before it is used."""
    if directory.is_dir():
        return
    _make_private_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard_abandoned(staging: Path) -> None:
    """Remove what processes that were killed in the middle of a copy left behind."""
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    for path in staging.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
