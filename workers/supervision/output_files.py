"""Files that the job's process left in its folder of outputs, on their way into the store. It is not trusted."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.plain_file import opened_plain
from workers.supervision.transfers import Transfers

LEAST_FILLED = 0.1
"""Of an output. Weights are written as they are; some file systems keep no blocks that hold only zeros."""
FREE_HOLES_BYTES = 64 << 20
_MAX_RUNS = 100_000
_PIECE_BYTES = 4 << 20


class StoredFile(NamedTuple):
    bytes: int
    sha256: str


def store_output(folder: Path, name: str, *, tenant_id: str, transfers: Transfers) -> StoredFile:
    """Raises OutputUnusable."""
    transfers.check()
    with opened_output(folder, name) as descriptor:
        # hashed and stored through the descriptor: the name might change hands in between
        path = Path(f"/proc/self/fd/{descriptor}")
        _require_filled(descriptor)
        digest = _sha256(path, transfers.check)
        transfers.put_patiently(path, tenant_id=tenant_id, sha256=digest)
        return StoredFile(os.fstat(descriptor).st_size, digest)


@contextmanager
def opened_output(folder: Path, name: str) -> Iterator[int]:
    """A descriptor of an output; a link, say, would publish a file of ours. Raises OutputUnusable."""
    if not name or (folder / name).parent != folder:
        raise OutputUnusable("an output is not a plain file")
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opened_plain(folder / name))
        except (OSError, ValueError) as error:
            raise OutputUnusable("an output is not a plain file") from error
        yield descriptor


def _require_filled(descriptor: int) -> None:
    """A file of holes takes no scratch, whatever its size; read, hashed and stored it would take days and all disks.

    Raises OutputUnusable.
    """
    size = os.fstat(descriptor).st_size
    if size <= FREE_HOLES_BYTES:
        return
    filled = position = 0
    for _ in range(_MAX_RUNS):
        if filled >= LEAST_FILLED * size:
            return
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError:  # nothing but a hole from here on
            break
        filled += position - start
    raise OutputUnusable("an output is a file of holes")


def _sha256(path: Path, check: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            check()
            digest.update(piece)
    return digest.hexdigest()
