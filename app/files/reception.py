"""Receives a file of any size at flat memory: counts, hashes and writes each chunk as it comes."""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from app.contracts.problem import Problem, ProblemFound, refuse
from app.files.sniff import HEAD_BYTES, Purpose, sniff

STALE_SECONDS = 24 * 3600.0
"""A staging file that nobody has written to for a day was left by a process that was killed."""


class Reception:
    """A file on its way in. Whatever happens, leaving the context leaves no staging file behind."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self.path = directory / secrets.token_hex(16)
        self.max_bytes = max_bytes
        self.bytes = 0
        self.head = b""
        self._purpose: Purpose | None = None
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        with _full_disk_named():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self.path.open("xb")
            self.path.chmod(0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _full_disk_named():
                self._file.close()  # writes what is buffered still, so it may find the disk full
        except ProblemFound:
            if error is None:  # else that error is the first cause, and a cancellation must stay one
                raise
        finally:
            self.path.unlink(missing_ok=True)

    def expect(self, purpose: Purpose) -> None:
        """Name what the file is for: from now on a head that cannot serve it is refused as soon as it is complete."""
        self._purpose = purpose
        self._refuse_other_formats()

    def write(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self.bytes > self.max_bytes:
            raise too_large(self.max_bytes)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
            self._refuse_other_formats()
        self._digest.update(chunk)
        with _full_disk_named():
            self._file.write(chunk)

    def finish(self) -> str:
        """The sha256 of what was received, once all of it is in the file."""
        with _full_disk_named():
            self._file.flush()
        return self._digest.hexdigest()

    def _refuse_other_formats(self) -> None:
        if self._purpose is None or len(self.head) < HEAD_BYTES:
            return  # a shorter file is judged when all of it is here
        found = sniff(self.head, self._purpose)
        if isinstance(found, Problem):
            raise ProblemFound(found)


def uploads_folder(scratch: Path) -> Path:
    """Where uploads are staged."""
    return scratch / "uploads"


def prepare(directory: Path) -> None:
    """Make the folder, which may lie in one that is not there yet either, or clean up what the dead left in it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(directory)


def sweep(directory: Path) -> None:
    """Remove the staging files that no living process can be writing to."""
    newest_kept = time.time() - STALE_SECONDS
    with suppress(OSError):  # a folder that is not there yet has nothing to sweep; another process may sweep as well
        for path in directory.iterdir():
            if path.is_file() and path.stat().st_mtime < newest_kept:
                path.unlink(missing_ok=True)


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
