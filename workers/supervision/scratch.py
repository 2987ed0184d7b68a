"""A folder for one attempt, removed with it. A lock tells the folder of a living attempt from one of the dead."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workers.supervision.folder_removal import remove_folder

FOLDER = "jobs"
_LOCK_SUFFIX = ".lock"


@contextmanager
def attempt_folder(scratch: Path, name: str) -> Iterator[Path]:
    """An empty folder that exists, locked, while the context lasts."""
    parent = scratch / FOLDER
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock_path = parent / (name + _LOCK_SUFFIX)
    descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    folder = parent / name
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        try:
            _remove(folder, lock_path)
        finally:
            os.close(descriptor)


def _remove(folder: Path, lock_path: Path) -> None:
    """The lock's file goes last, and stays if the folder could not be removed: a later sweep tries again."""
    remove_folder(folder)
    if not folder.exists():
        lock_path.unlink(missing_ok=True)


def sweep(scratch: Path) -> int:
    """Remove the folders of attempts whose process is gone. Returns how many there were."""
    removed = 0
    for lock_path in (scratch / FOLDER).glob("*" + _LOCK_SUFFIX):
        with suppress(OSError):
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(lock_path.with_suffix(""), lock_path)
                removed += 1
            except BlockingIOError:
                pass  # at work
            finally:
                os.close(descriptor)
    return removed
