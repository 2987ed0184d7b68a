"""Objects as files below one directory: the store of `lowbit serve`, and of hosts that share a file system."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.storage.byte_range import range_end
from app.storage.directory_uploads import DirectoryUploads
from app.storage.errors import ObjectMissing
from app.storage.keys import OBJECTS, object_key, tenant_and_digest
from app.storage.object_store import StoredObject
from app.storage.private_folder import PrivateFolder, age_seconds, sync_directory
from app.storage.verification import CHUNK_BYTES, chunks_of, confirm_stored, verified
from app.storage.whole_file import write_whole

ABANDONED_AFTER_SECONDS = 24 * 3600  # a copy in progress touches its staging file with every chunk


class DirectoryStore:
    """An `ObjectStore` in `root`, which is made if need be. Its file system must know hard links."""

    def __init__(self, root: Path) -> None:
        self._folder = PrivateFolder(root)
        self.uploads = DirectoryUploads(self._folder)
        self.discard_abandoned(ABANDONED_AFTER_SECONDS)

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        target = self._path(tenant_id, sha256)
        with path.open("rb") as source:
            stored_bytes = self._renewed_bytes(target)
            if stored_bytes is not None:
                confirm_stored(source, sha256=sha256, stored_bytes=stored_bytes)
            else:
                self._folder.publish(target, verified(chunks_of(source), sha256))

    @contextmanager
    def open(
        self, *, tenant_id: str, sha256: str, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        end = range_end(start, length)
        with self._folder.errors():
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
            with self._folder.errors():
                return self._path(tenant_id, sha256).stat().st_size
        except ObjectMissing:
            return None

    def download_url(  # nobody outside reaches a directory
        self,
        *,
        tenant_id: str,  # noqa: ARG002
        sha256: str,  # noqa: ARG002
        filename: str,  # noqa: ARG002
        expires_seconds: int,  # noqa: ARG002
    ) -> str | None:
        return None

    def objects(self) -> Iterator[StoredObject]:
        with self._folder.errors():
            self._folder.staging.stat()  # a disk that is not mounted is not an empty store
            for path in (self._folder.root / OBJECTS).glob("*/sha256/*/*"):
                names = tenant_and_digest(path.relative_to(self._folder.root).as_posix())
                with suppress(FileNotFoundError):
                    if names:
                        yield StoredObject(*names, bytes=path.stat().st_size, age_seconds=age_seconds(path))

    def delete(self, *, tenant_id: str, sha256: str) -> None:
        path = self._path(tenant_id, sha256)
        with suppress(ObjectMissing), self._folder.errors():
            path.unlink()
            sync_directory(path.parent)

    def delete_older(self, older_than_seconds: float, *, tenant_id: str, sha256: str) -> bool:
        try:
            return self._folder.remove_older(self._path(tenant_id, sha256), older_than_seconds)
        except ObjectMissing:
            return False

    def discard_abandoned(self, older_than_seconds: float) -> None:
        self._folder.discard_abandoned(older_than_seconds)

    def check(self) -> None:
        """Writes a byte: a full or read-only disk is not ready either."""
        with self._folder.errors(), tempfile.TemporaryFile(dir=self._folder.staging, buffering=0) as probe:
            probe.write(b"\0")

    def _path(self, tenant_id: str, sha256: str) -> Path:
        return self._folder.root / object_key(tenant_id=tenant_id, sha256=sha256)

    def _renewed_bytes(self, path: Path) -> int | None:
        """The size of an object that nobody finds old from here on, or None where there is none."""
        return self._folder.renew(path)

    def _read(self, descriptor: int, start: int, end: int | None) -> Iterator[bytes]:
        position = start
        while end is None or position < end:
            wanted = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - position)
            with self._folder.errors():
                chunk = os.pread(descriptor, wanted, position)
            if not chunk:
                return
            yield chunk
            position += len(chunk)
