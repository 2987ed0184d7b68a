"""Files: small ones are sent at once, large ones in parts that can be sent again; both with their digest."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from lowbit.resources import File, Purpose
from lowbit.resumable import ResumableUpload
from lowbit.uploads import Uploads
from lowbit.wire import Call, Wire, address

CHUNK_BYTES = 1 << 20

RESUMABLE_FROM_BYTES = 8 << 20
"""Below, one request is quicker than four, and sending all of it again costs little."""

UploadProgress = Callable[[Path, int, int], None]
"""Called with the path, the bytes sent so far, and the bytes in all."""


class Files:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def upload(
        self,
        path: str | Path,
        purpose: Purpose,
        on_progress: UploadProgress | None = None,
        *,
        resume: str | None = None,
        sha256: str | None = None,
    ) -> File:
        """Send one file. The service refuses it when size or digest differ from what was announced.

        A large file that was being sent before, from this machine, goes on where it stopped; `resume` names another
        upload (`upl_...`) to go on with. With its `sha256`, in hex, it is recognised under any path.
        """
        path = Path(path)
        if resume is None and path.stat().st_size < RESUMABLE_FROM_BYTES:
            return self._send_at_once(path, purpose, on_progress)
        return ResumableUpload(Uploads(self._wire), path, purpose, on_progress, sha256=sha256).run(resume)

    def _send_at_once(self, path: Path, purpose: Purpose, on_progress: UploadProgress | None) -> File:
        size = path.stat().st_size
        call = Call(
            "POST",
            "/v1/files",
            params={"filename": path.name, "purpose": purpose},
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Length": str(size),
                "Repr-Digest": repr_digest(sha256_of(path)),
            },
            content=_read(path, size, on_progress),
        )
        return cast(File, self._wire.json(call))

    def get(self, file_id: str) -> File:
        return cast(File, self._wire.get(address("files", file_id)))


def sha256_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def repr_digest(digest: bytes) -> str:
    """The header value of RFC 9530: base64 between colons."""
    return f"sha-256=:{base64.b64encode(digest).decode()}:"


def _read(path: Path, size: int, on_progress: UploadProgress | None) -> Iterator[bytes]:
    sent = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if on_progress is not None:
                on_progress(path, sent, size)
