"""The sha256 of a file, worked out beside the sending of its parts: no pass before, and all of it after a resume."""

import hashlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK_BYTES = 1 << 20


class FileDigest:
    """Reads in a thread of its own, which ends with the block. Hashing lets other threads run.

    A digest that is `known` is not worked out again.
    """

    def __init__(self, path: Path, *, known: str | None = None) -> None:
        self._path = path
        self._stop = threading.Event()
        self._found: str | OSError = known or ""
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def result(self) -> str:
        """Wait for it. Raises `OSError` when the file cannot be read."""
        self._thread.join()
        if isinstance(self._found, OSError):
            raise self._found
        return self._found

    def _run(self) -> None:
        if self._found:
            return
        digest = hashlib.sha256()
        try:
            with self._path.open("rb") as file:
                while (chunk := file.read(CHUNK_BYTES)) and not self._stop.is_set():
                    digest.update(chunk)
            self._found = digest.hexdigest()
        except OSError as error:
            self._found = error
