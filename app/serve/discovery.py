"""Leaves a note for the command line on this machine: where the service is and where its key lies."""

import json
import os
from pathlib import Path

import platformdirs

from app.serve.data_directory import DataDirectory, write_private_json


class ServiceNote:
    """`service.json`, in the data directory and where `lowbit` looks for it; both go when the service does.

    Where `lowbit` looks, the first service stays the one that it finds, for as long as that service lives.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.own = data_dir / "service.json"
        self.shared = Path(platformdirs.user_state_dir("lowbit")) / "service.json"

    def write(self, *, url: str, key_file: Path) -> str | None:
        """Returns the address of the service that `lowbit` goes on finding, if that is another one."""
        note = {"url": url, "key_file": str(key_file), "data_dir": str(self._data_dir), "pid": os.getpid()}
        other = _living_other(self.shared, self._data_dir)
        for path in (self.own,) if other else (self.own, self.shared):
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private_json(path, note)
            except OSError:  # a home that cannot be written costs convenience, not service
                continue
        return other

    def remove(self) -> None:
        for path in (self.own, self.shared):
            try:
                if json.loads(path.read_text())["data_dir"] == str(self._data_dir):
                    path.unlink()
            except (OSError, ValueError, KeyError, TypeError):
                continue


def _living_other(note: Path, data_dir: Path) -> str | None:
    """A service that was killed leaves its note behind, but not the lock on its data directory."""
    try:
        told = json.loads(note.read_text())
        theirs, url = Path(told["data_dir"]), str(told["url"])
        return url if theirs != data_dir and DataDirectory(theirs).is_in_use() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
