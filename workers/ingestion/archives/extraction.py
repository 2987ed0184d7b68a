"""Writing an archive's files into a folder. Each folder is entered by its descriptor, and no link is ever followed.

Permissions, owners and times of the archive are not taken over: files are ours, 0600, in folders of 0700.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_new_file(folder: Path, name: str, pieces: Iterable[bytes]) -> Path:
    """Create the file `name` and the folders above it. Raises FileExistsError if something has its name."""
    *above, last = name.split("/")
    with _entered(folder, above) as parent:
        descriptor = os.open(last, _NEW_FILE, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
    return folder / name


@contextmanager
def _entered(folder: Path, above: list[str]) -> Iterator[int]:
    current = os.open(folder, _FOLDER)
    try:
        for component in above:
            with suppress(FileExistsError):
                os.mkdir(component, 0o700, dir_fd=current)
            entered = os.open(component, _FOLDER, dir_fd=current)
            os.close(current)
            current = entered
        yield current
    finally:
        os.close(current)
