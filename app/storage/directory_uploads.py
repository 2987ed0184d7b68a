"""Uploads in parts, in a directory: one folder for each upload, one file for each part, named by its number.

A part file is the bytes of the part followed by the 4 bytes of its etag, their CRC-32. So one rename shows the part
and its etag together, replaces an earlier one of the same number, and listing reads 32 bytes of each.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from isal import isal_zlib

from app.storage.errors import PartsInvalid, UploadMissing
from app.storage.keys import object_key, tenant_and_upload, upload_key
from app.storage.private_folder import (
    PrivateFolder,
    StagingFile,
    age_seconds,
    make_private_directory,
    sync_directory,
)
from app.storage.staging import Part, StagedUpload, require_number, require_parts
from app.storage.verification import CHUNK_BYTES, AnnouncedBytes, verified

ETAG_BYTES = 4


class DirectoryUploads:
    """An `UploadStaging` in a `PrivateFolder`. It knows an upload by its id alone: handles are empty."""

    def __init__(self, folder: PrivateFolder) -> None:
        self._folder = folder

    def begin(self, *, tenant_id: str, upload_id: str) -> str:
        with self._folder.errors():
            make_private_directory(self._path(tenant_id, upload_id))
        return ""

    def part_url(  # nobody outside reaches a directory
        self,
        *,
        tenant_id: str,  # noqa: ARG002
        upload_id: str,  # noqa: ARG002
        handle: str,  # noqa: ARG002
        number: int,  # noqa: ARG002
        part_bytes: int,  # noqa: ARG002
        expires_seconds: int,  # noqa: ARG002
    ) -> str | None:
        return None

    @contextmanager
    def receive_part(
        self,
        *,
        tenant_id: str,
        upload_id: str,
        handle: str,  # noqa: ARG002
        number: int,
        part_bytes: int,
        sha256: str | None = None,
    ) -> Iterator["_ArrivingPart"]:
        require_number(number)
        target = self._path(tenant_id, upload_id) / str(number)
        with self._folder.staging_file() as staged:
            yield _ArrivingPart(self._folder, staged, target, AnnouncedBytes(part_bytes, sha256))

    def list_parts(self, *, tenant_id: str, upload_id: str, handle: str) -> list[Part]:  # noqa: ARG002
        return self._parts(self._path(tenant_id, upload_id))

    def assemble(
        self,
        *,
        tenant_id: str,
        upload_id: str,
        handle: str,  # noqa: ARG002
        parts: Sequence[tuple[int, str]],
        sha256: str,
        total_bytes: int,
    ) -> None:
        directory = self._path(tenant_id, upload_id)
        target = self._folder.root / object_key(tenant_id=tenant_id, sha256=sha256)
        try:
            chosen = require_parts(self._parts(directory), parts, total_bytes=total_bytes)
            self._folder.publish(target, verified(self._joined(directory, chosen), sha256))
        except UploadMissing:  # another run was here, and removed the parts when the object was in place
            if self._folder.renew(target) != total_bytes:
                raise
        self._folder.remove_tree(directory)

    def abort(self, *, tenant_id: str, upload_id: str, handle: str) -> None:  # noqa: ARG002
        self._folder.remove_tree(self._path(tenant_id, upload_id))

    def staged_uploads(self) -> Iterator[StagedUpload]:
        with self._folder.errors():
            self._folder.staging.stat()  # a disk that is not mounted is not an empty store
            for path in self._folder.uploads.glob("*/*"):
                names = tenant_and_upload(path.relative_to(self._folder.root).as_posix())
                with suppress(FileNotFoundError):
                    if names:
                        yield StagedUpload(*names, handle="", idle_seconds=age_seconds(path))

    def _path(self, tenant_id: str, upload_id: str) -> Path:
        return self._folder.root / upload_key(tenant_id=tenant_id, upload_id=upload_id)

    def _parts(self, directory: Path) -> list[Part]:
        with self._folder.errors(UploadMissing):
            found = [_read_part(path) for path in directory.iterdir()]
        return sorted(found, key=lambda part: part.number)

    def _joined(self, directory: Path, parts: Sequence[Part]) -> Iterator[bytes]:
        for part in parts:
            with self._folder.errors(UploadMissing), (directory / str(part.number)).open("rb", buffering=0) as file:
                if _part_in(file.fileno(), part.number) != part:
                    raise PartsInvalid((part.number,))
                for position in range(0, part.bytes, CHUNK_BYTES):
                    yield os.pread(file.fileno(), min(CHUNK_BYTES, part.bytes - position), position)


class _ArrivingPart:
    """A `PartWriter`."""

    def __init__(self, folder: PrivateFolder, staged: StagingFile, target: Path, announced: AnnouncedBytes) -> None:
        self._folder = folder
        self._staged = staged
        self._target = target
        self._announced = announced
        self._crc32 = 0

    def write(self, chunk: bytes) -> None:
        self._announced.count(chunk)
        # a fraction of the time of sha256, which the whole is held to; zlib's own takes six times as long
        self._crc32 = isal_zlib.crc32(chunk, self._crc32)
        self._staged.write(chunk)

    def finish(self) -> Part:
        self._announced.confirm()
        etag = self._crc32.to_bytes(ETAG_BYTES, "big")
        self._staged.write(etag)
        self._staged.sync()
        with self._folder.errors(UploadMissing):
            self._staged.path.replace(self._target)
            sync_directory(self._target.parent)
        return Part(int(self._target.name), self._announced.bytes, etag.hex())


def _read_part(path: Path) -> Part:
    with path.open("rb", buffering=0) as file:
        return _part_in(file.fileno(), int(path.name))


def _part_in(descriptor: int, number: int) -> Part:
    part_bytes = os.fstat(descriptor).st_size - ETAG_BYTES
    return Part(number, part_bytes, os.pread(descriptor, ETAG_BYTES, part_bytes).hex())
