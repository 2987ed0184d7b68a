"""Files that the job's process left in its folder of outputs, on their way into the store. It is not trusted."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.plain_file import opened_plain
from workers.supervision.transfers import Transfers


class StoredFile(NamedTuple):
    bytes: int
    sha256: str


def store_output(folder: Path, name: str, *, tenant_id: str, transfers: Transfers) -> StoredFile:
    """Raises OutputUnusable."""
    transfers.check()
    with opened_output(folder, name) as descriptor:
        # hashed and stored through the descriptor: the name might change hands in between
        path = Path(f"/proc/self/fd/{descriptor}")
        digest = _sha256(path)
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
