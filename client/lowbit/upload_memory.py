"""Which upload a file was being sent with, kept on this machine, so that a command run again goes on with it."""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_state_dir

FORGOTTEN_AFTER_SECONDS = 30 * 24 * 3600.0
"""No service keeps an upload open for so long."""


class Sent(NamedTuple):
    """What makes it the same upload: another size or time of change is another file."""

    service: str
    path: Path
    purpose: str
    bytes: int
    changed_ns: int

    @classmethod
    def of(cls, service: str, path: Path, purpose: str) -> "Sent":
        stat = path.stat()
        return cls(service, path.resolve(), purpose, stat.st_size, stat.st_mtime_ns)


class UploadMemory:
    """One small file for each upload under way. A folder that cannot be written costs the memory, not the upload."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else Path(user_state_dir("lowbit")) / "uploads"

    def recall(self, sent: Sent) -> str | None:
        try:
            upload_id = json.loads(self._path(sent).read_text(encoding="utf-8"))["upload_id"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return upload_id if isinstance(upload_id, str) else None

    def keep(self, sent: Sent, upload_id: str) -> None:
        note = json.dumps({"upload_id": upload_id, "service": sent.service, "path": str(sent.path)})
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            path = self._path(sent)
            # renamed into place: two commands at once must not leave half a note
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_text(note, encoding="utf-8")
            partial.replace(path)

    def forget(self, sent: Sent) -> None:
        with suppress(OSError):
            self._path(sent).unlink(missing_ok=True)

    def _path(self, sent: Sent) -> Path:
        name = hashlib.sha256("\0".join(map(str, sent)).encode()).hexdigest()
        return self._folder / f"{name[:32]}.json"

    def _sweep(self) -> None:
        oldest = time.time() - FORGOTTEN_AFTER_SECONDS
        for path in self._folder.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
