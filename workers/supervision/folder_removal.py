"""Removes a folder whatever lies in it: a tree of any depth, and folders that their maker has closed to itself.

Nothing here recurses or joins paths, both of which have an end that a hostile tree lies beyond. Folders are moved up
into the first one instead, and entered there. No link is followed.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_folder(folder: Path) -> None:
    """Leaves what cannot be removed, without an error. Nobody else may be at work in it."""
    with suppress(OSError):
        _empty(folder)
        folder.rmdir()


def _empty(folder: Path) -> None:
    names = (f"moved-{number}" for number in count())
    with _entered(str(folder)) as top:
        while found := os.listdir(top):  # noqa: PTH208  of a descriptor
            for name in found:
                if not _unlinked(name, top):
                    _take_apart(name, top, names)


def _take_apart(name: str, top: int, names: Iterator[str]) -> None:
    """Remove a folder in the first one, with its files. The folders in it come to lie beside it."""
    with _entered(name, top) as inside:
        for entry in os.listdir(inside):  # noqa: PTH208  likewise
            if not _unlinked(entry, inside):
                _open_to_us(entry, inside)  # a folder is moved by whoever may write to it
                os.rename(entry, _free(names, top), src_dir_fd=inside, dst_dir_fd=top)
    os.rmdir(name, dir_fd=top)


def _unlinked(name: str, parent: int) -> bool:
    """False for a folder."""
    if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=parent)
    return True


def _free(names: Iterator[str], top: int) -> str:
    """A name that nothing has yet: what lies there was not named by us."""
    for name in names:
        try:
            os.stat(name, dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            return name
    raise AssertionError("numbers have no end")


@contextmanager
def _entered(name: str, parent: int | None = None) -> Iterator[int]:
    _open_to_us(name, parent)
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_to_us(name: str, parent: int | None) -> None:
    """Its maker may have made it without the rights to list it, or to remove what is in it."""
    handle = os.open(name, _HANDLE, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(0o700)  # by the descriptor, so that it is no link that is followed
    finally:
        os.close(handle)
