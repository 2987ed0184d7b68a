"""The files that lie beside an uploaded model, opened so that no name can lead elsewhere.

Every part of a name is opened below the one before it, and none may be a link: neither a folder on the way nor the file
itself, nor a second name of a file that lies somewhere else.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from app.contracts.problem import ProblemFound, quoted, refuse

_CHUNK_BYTES = 4 << 20
_MOST_PARTS = 32


class FilesBeside(contextlib.ExitStack):
    """`folder`: where they lie; None where a model came alone. Each file is opened once, and closed with this."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._descriptors: dict[str, int] = {}
        self._digests: dict[str, str] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def size(self, location: str) -> int:
        """In bytes. Raises ProblemFound for what is not a plain file in the folder."""
        return os.fstat(self._opened(location)).st_size

    def sha1(self, location: str) -> str:
        """Of the whole file, as ONNX's `checksum` means it."""
        if location not in self._digests:
            digest = hashlib.sha1(usedforsecurity=False)
            for chunk in self.chunks(location, 0, self.size(location)):
                digest.update(chunk)
            self._digests[location] = digest.hexdigest()
        return self._digests[location]

    def chunks(self, location: str, offset: int, length: int) -> Iterator[bytes]:
        """The bytes in pieces of 4 MiB: read and not mapped, so that they never count as the process's memory."""
        descriptor = self._opened(location)
        end = offset + length
        while offset < end:
            chunk = os.pread(descriptor, min(_CHUNK_BYTES, end - offset), offset)
            if not chunk:
                raise _missing(location)
            offset += len(chunk)
            yield chunk

    def _opened(self, location: str) -> int:
        if location not in self._descriptors:
            self._descriptors[location] = self._open(location)
        return self._descriptors[location]

    def _open(self, location: str) -> int:
        parts = plain_name(location).split("/")
        if self._folder is None:
            raise _missing(location)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        for index, part in enumerate(parts):
            is_last = index == len(parts) - 1
            try:
                descriptor = _step(descriptor, part, location, is_last=is_last)
            except FileNotFoundError as error:
                raise _missing(location) from error
        self.callback(os.close, descriptor)
        return descriptor


def _step(parent: int, part: str, location: str, *, is_last: bool) -> int:
    """From a folder to what `part` names in it; the folder is closed. Raises ProblemFound, FileNotFoundError."""
    try:
        _require_plain(os.stat(part, dir_fd=parent, follow_symlinks=False), location, is_last=is_last)
        # NONBLOCK: if the name changed hands in between, a FIFO would be waited for
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_NONBLOCK if is_last else os.O_DIRECTORY)
        descriptor = os.open(part, flags, dir_fd=parent)
        try:
            _require_plain(os.fstat(descriptor), location, is_last=is_last)
        except ProblemFound:
            os.close(descriptor)
            raise
    except FileNotFoundError:
        raise
    except OSError as error:
        raise escape(location, "which is not a plain file in the model's folder") from error
    finally:
        os.close(parent)
    return descriptor


def _require_plain(found: os.stat_result, location: str, *, is_last: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise escape(location, "which is a link or lies behind one")
    if not is_last:
        if not stat.S_ISDIR(found.st_mode):
            raise _missing(location)
    elif not stat.S_ISREG(found.st_mode):
        raise escape(location, "which is not a plain file")
    elif found.st_nlink != 1:
        raise escape(location, "a file that has other names too")


def plain_name(location: str) -> str:
    """One spelling for each name. Raises ProblemFound for one that cannot lie in the model's folder."""
    if not location:
        raise escape(location, "which is no name")
    if location.startswith("/") or "\\" in location or "\0" in location or location[1:2] == ":":
        raise escape(location, "which is not a relative name with forward slashes")
    parts = [part for part in location.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise escape(location, "which leads out of the model's folder")
    if not parts or len(parts) > _MOST_PARTS or any(len(part.encode()) > 255 for part in parts):
        raise escape(location, "which is no file's name")
    return "/".join(parts)


def escape(location: str, why: str) -> ProblemFound:
    detail = f"The model keeps weights in the file {quoted(location)}, {why}."
    return refuse("onnx_external_data_escape", detail, entry=location or "(empty)")


def _missing(location: str) -> ProblemFound:
    detail = f"The model keeps weights in the file {quoted(location)}, which is not beside it."
    return refuse("onnx_external_data_missing", detail, entry=location)
