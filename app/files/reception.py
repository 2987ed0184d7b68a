"""Receives a file of any size at flat memory: counts, hashes and writes each chunk as it comes."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from app.contracts.problem import refuse
from app.files.sniff import HEAD_BYTES


class Reception:
    """A file on its way in. Whatever happens, leaving the context leaves no staging file behind."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self.path = directory / secrets.token_hex(16)
        self.max_bytes = max_bytes
        self.bytes = 0
        self.head = b""
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self.path.open("xb")
        self.path.chmod(0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self.bytes > self.max_bytes:
            raise too_large(self.max_bytes)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        self._digest.update(chunk)
        with _full_disk_named():
            self._file.write(chunk)

    def finish(self) -> str:
        """The sha256 of what was received, once all of it is in the file."""
        with _full_disk_named():
            self._file.flush()
        return self._digest.hexdigest()


async def receive_raw(stream: AsyncIterator[bytes], into: Reception) -> None:
    async for chunk in stream:
        into.write(chunk)


def too_large(max_bytes: int) -> Exception:
    return refuse(
        "upload_too_large", f"A file may hold {max_bytes} bytes here.", hint="LOWBIT_MAX_UPLOAD_BYTES sets the limit."
    )


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refuse("insufficient_scratch", "The service's disk is full.") from error
