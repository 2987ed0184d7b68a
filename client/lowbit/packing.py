"""Several files as one zip, for as long as they are sent.

The same files make the same bytes: sorted names, no times, no compression. So a folder that was sent before is
recognised by its digest, and one that was being sent goes on where it stopped.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowbit.errors import LowbitError
from lowbit.folder_contents import Contents
from lowbit.folder_walk import Member

CHUNK_BYTES = 1 << 20

ZIP64_FROM_BYTES = 1 << 30
"""Zip counts in 32 bits unless an entry says otherwise; that costs twenty bytes, so it is said early."""

ENTRY_BYTES = 1024
"""More than an entry's two headers take, but for the longest names."""

NO_TIME = (1980, 1, 1, 0, 0, 0)
UNIX = 3
REGULAR_FILE = 0o100644 << 16

LONGEST_NAME = 60
"""Characters; file systems take 255 bytes."""


@contextmanager
def packed(contents: Contents) -> Iterator[Path]:
    """The archive, which goes away with the block.

    Raises:
        LowbitError: there is no room for it, or a file changed meanwhile.

    """
    with tempfile.TemporaryDirectory(prefix="lowbit-") as folder:
        _require_room(contents, Path(folder))
        path = Path(folder) / f"{contents.name[:LONGEST_NAME]}.zip"
        write_archive(contents.members, path)
        yield path


def write_archive(members: tuple[Member, ...], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            _add(archive, member)


def _add(archive: zipfile.ZipFile, member: Member) -> None:
    entry = zipfile.ZipInfo(member.name, NO_TIME)
    entry.create_system = UNIX
    entry.external_attr = REGULAR_FILE
    written = 0
    with (
        member.path.open("rb") as source,
        archive.open(entry, "w", force_zip64=member.bytes >= ZIP64_FROM_BYTES) as sink,
    ):
        # one byte too many is enough to see that it grew
        while written <= member.bytes and (chunk := source.read(min(CHUNK_BYTES, member.bytes + 1 - written))):
            written += sink.write(chunk)
    if written != member.bytes:
        raise LowbitError(f"{member.path} was changed while it was packed; send it again")


def _require_room(contents: Contents, folder: Path) -> None:
    needed = contents.bytes + ENTRY_BYTES * (1 + len(contents.members))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LowbitError(
            f"Packing {contents.name} needs {needed / 1e9:.2f} GB in {folder.parent}, where {free / 1e9:.2f} GB are "
            "free. Set TMPDIR to a folder with more room."
        )
