"""A zip: its files, and the checks while one is unpacked."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from app.contracts.problem import refuse
from workers.ingestion.archives.bomb import check_growth
from workers.ingestion.archives.deflate import inflated, stored
from workers.ingestion.archives.entry import Entry
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.namespace import Namespace
from workers.ingestion.archives.packed_file import PackedFile
from workers.ingestion.archives.zip_directory import DEFLATED, read_directory
from workers.ingestion.archives.zip_end import find_directory
from workers.ingestion.archives.zip_layout import find_data


@dataclass(frozen=True)
class ZipSource:
    entries: tuple[Entry, ...]
    packed: PackedFile
    limits: ArchiveLimits

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """Unpack a file. More or other bytes than it declares are a problem as soon as they come."""
        unpack = inflated if entry.deflated else stored
        unpacked, crc = 0, 0
        for piece in unpack(self.packed, entry.offset, entry.packed_bytes, entry=entry.name):
            unpacked += len(piece)
            crc = zlib.crc32(piece, crc)
            check_growth(unpacked, entry.packed_bytes, self.limits, entry=entry.name)
            if unpacked > entry.bytes:
                raise refuse("archive_corrupt", "An entry is larger than it declares.", entry=entry.name)
            yield piece
        if unpacked != entry.bytes or crc != entry.crc:
            raise refuse("archive_corrupt", "An entry is not what its size and checksum say.", entry=entry.name)


def open_zip(packed: PackedFile, limits: ArchiveLimits) -> ZipSource:
    """Read and compare everything but the data. Raises ProblemFound."""
    directory = find_directory(packed, limits)
    records = sorted(read_directory(packed, directory), key=lambda record: record.offset)
    offsets = find_data(packed, records, end=directory.offset)
    namespace = Namespace(limits)
    entries = tuple(
        Entry(name, record.bytes, offset, record.packed_bytes, record.method == DEFLATED, record.crc)
        for record, offset in zip(records, offsets, strict=True)
        if (name := namespace.admit(record.name, "folder" if record.is_folder else "file")) is not None
    )
    # no entry gives more than it declares, so their sum is what all of them give
    check_growth(sum(entry.bytes for entry in entries), packed.size, limits)
    return ZipSource(entries, packed, limits)
