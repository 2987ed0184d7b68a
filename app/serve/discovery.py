"""Leaves a note for the command line on this machine: where the service is and where its key lies."""

import json
import os
from pathlib import Path

import platformdirs

from app.serve.data_directory import write_private_json


class ServiceNote:
    """`service.json`, in the data directory and where `lowbit` looks for it; both go when the service does."""

    def __init__(self, data_dir: Path) -> None:
        self.paths = (data_dir / "service.json", Path(platformdirs.user_state_dir("lowbit")) / "service.json")

    def write(self, *, url: str, key_file: Path, data_dir: Path) -> None:
        note = {"url": url, "key_file": str(key_file), "data_dir": str(data_dir), "pid": os.getpid()}
        for path in self.paths:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private_json(path, note)
            except OSError:  # a home that cannot be written costs convenience, not service
                continue

    def remove(self) -> None:
        for path in self.paths:
            try:
                if json.loads(path.read_text()).get("pid") == os.getpid():
                    path.unlink()
            except (OSError, ValueError):
                continue
