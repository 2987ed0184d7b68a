"""An archive of any of the formats, as its readers see it: entries, and the bytes of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from app.contracts.problem import refuse
from workers.ingestion.archives.entry import Entry
from workers.ingestion.archives.extraction import write_new_file
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.nested import without_archives
from workers.ingestion.archives.packed_file import PackedFile
from workers.ingestion.archives.tar_header import BLOCK_BYTES, is_tar
from workers.ingestion.archives.tar_source import gzipped_tar_source, tar_source
from workers.ingestion.archives.zip_source import open_zip


class Source(Protocol):
    """What a format has to do: list the files, and unpack one of them with all its checks."""

    @property
    def entries(self) -> tuple[Entry, ...]: ...

    def pieces(self, entry: Entry) -> Iterator[bytes]: ...


class Archive:
    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The files, in the order in which they lie in the archive. Folders and what a Mac adds are left out."""
        return self._source.entries

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """A file's bytes, a piece of about 1 MiB at a time. Only at the end is it known that they are sound.

        Out of order works too, but a tar.gz is then unpacked from its beginning. Raises ProblemFound.
        """
        return without_archives(self._source.pieces(entry), entry.name)

    def read(self, entry: Entry, *, max_bytes: int) -> bytes:
        """A file's bytes, checked to the end. Raises ProblemFound, also for a file of more than `max_bytes`."""
        _refuse_larger(entry, max_bytes)
        return b"".join(self.pieces(entry))

    def read_nested(self, entry: Entry, *, max_bytes: int) -> bytes:
        """As `read`, for a file that is an archive where the format has one: nothing here opens it."""
        _refuse_larger(entry, max_bytes)
        return b"".join(self._source.pieces(entry))

    def extract_all(self, folder: Path) -> tuple[Path, ...]:
        """Write every file below `folder`, which exists and is empty. After a problem, what lies there is worthless."""
        return tuple(write_new_file(folder, entry.name, self.pieces(entry)) for entry in self.entries)


def _refuse_larger(entry: Entry, max_bytes: int) -> None:
    if entry.bytes > max_bytes:
        detail = f"An entry unpacks to {entry.bytes} bytes; the limit is {max_bytes}."
        raise refuse("archive_bomb", detail, entry=entry.name)


@contextmanager
def open_archive(path: Path, limits: ArchiveLimits) -> Iterator[Archive]:
    """Read what the archive lists and compare it with what is there. Raises ProblemFound."""
    with path.open("rb", buffering=0) as file:
        yield Archive(_source(PackedFile(file), limits))


def _source(packed: PackedFile, limits: ArchiveLimits) -> Source:
    head = packed.read(0, min(BLOCK_BYTES, packed.size))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return open_zip(packed, limits)
    if head.startswith(b"\x1f\x8b"):
        return gzipped_tar_source(packed, limits)
    if is_tar(head):
        return tar_source(packed, limits)
    raise refuse(
        "archive_unsupported", "The file is not a zip, a tar or a tar.gz.", hint="Pack the files as a zip or a tar.gz."
    )
