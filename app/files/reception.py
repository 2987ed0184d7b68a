"""Receives a file of any size at flat memory: counts, hashes and writes each chunk as it comes."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from app.contracts.problem import ProblemFound, refuse
from app.files.sniff import HEAD_BYTES, Format, Purpose, require_format


class Reception:
    """A file on its way in. It has no name, so it goes with the context, or with the process, whatever ends that."""

    def __init__(self, directory: Path, *, max_bytes: int, allow_torch_export: bool = False) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self.allow_torch_export = allow_torch_export
        self.bytes = 0
        self.head = b""
        self._purpose: Purpose | None = None
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        with _full_disk_named():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=self.directory)
        return self

    @property
    def path(self) -> Path:
        """Where this process can open the file, as long as the context lasts."""
        return Path(f"/proc/self/fd/{self._file.fileno()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _full_disk_named():
                self._file.close()  # writes what is buffered still, so it may find the disk full
        except ProblemFound:
            if error is None:  # else that error is the first cause, and a cancellation must stay one
                raise

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

    def format_for(self, purpose: Purpose) -> Format:
        """What its first bytes say that it is. Raises ProblemFound where that cannot serve the purpose."""
        return require_format(self.head, purpose, allow_torch_export=self.allow_torch_export)

    def _refuse_other_formats(self) -> None:
        if self._purpose is None or len(self.head) < HEAD_BYTES:
            return  # a shorter file is judged when all of it is here
        self.format_for(self._purpose)


def uploads_folder(scratch: Path) -> Path:
    """Where uploads are staged."""
    return scratch / "uploads"


def prepare(directory: Path) -> None:
    """Make the folder, which may lie in one that is not there yet either."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


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
