"""Opens files that the job's process left behind. It is not trusted: a name may be a link or a pipe."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened_plain(path: Path) -> Iterator[int]:
    """A descriptor of a regular file that has this one name. Neither it nor its folder may be a link.

    Raises OSError.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # O_NONBLOCK: opening a pipe would wait for somebody to write
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a plain file")
        yield descriptor
    finally:
        os.close(descriptor)


def read_plain(path: Path, *, max_bytes: int, only_tail: bool = False) -> bytes:
    """The file's bytes, or its last `max_bytes`. Raises OSError, also for a file that is larger when all is wanted."""
    with opened_plain(path) as descriptor:
        size = os.fstat(descriptor).st_size
        if size > max_bytes and not only_tail:
            raise OSError(errno.EFBIG, "larger than it may be")
        return os.pread(descriptor, max_bytes, max(0, size - max_bytes))
