"""The zip around the images: its limits, its entries by name, and what it says about labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.contracts.problem import refuse
from workers.ingestion.archives import Archive, ArchiveLimits, Entry, open_archive
from workers.ingestion.data.images_label_file import MAX_LABEL_FILE_BYTES, Label, read_labels
from workers.ingestion.data.images_labels import labels_of
from workers.ingestion.data.images_listing import Listing, listed

MAX_ENTRIES = 200_000
MAX_IMAGE_BYTES = 64 << 20
"""Of one image as it is stored; photographs have a tenth of that."""


@dataclass(frozen=True)
class ImageArchive:
    """Open for reading."""

    archive: Archive
    entries: dict[str, Entry]
    listing: Listing

    def read(self, name: str) -> bytes:
        return self.archive.read(self.entries[name], max_bytes=MAX_IMAGE_BYTES)

    def labels(self, declared: tuple[str, ...] | None) -> tuple[Label, ...] | None:
        """Of each image, as given: an index or a name. Raises ProblemFound where some have none."""
        name = self.listing.label_file
        if name is None:
            return labels_of(self.listing, None, declared)
        data = self.archive.read(self.entries[name], max_bytes=MAX_LABEL_FILE_BYTES)
        return labels_of(self.listing, read_labels(data, name), declared)


@contextmanager
def opened_images(path: Path, *, max_unpacked_bytes: int | None = None) -> Iterator[ImageArchive]:
    """Raises ProblemFound for a zip that is not sound, holds no images, or too much."""
    with open_archive(path, ArchiveLimits(max_entries=MAX_ENTRIES)) as archive:
        unpacked = sum(entry.bytes for entry in archive.entries)
        if max_unpacked_bytes is not None and unpacked > max_unpacked_bytes:
            raise refuse(
                "calibration_too_large",
                f"The files take {unpacked} bytes unpacked; the limit is {max_unpacked_bytes}.",
            )
        entries = {entry.name: entry for entry in archive.entries}
        yield ImageArchive(archive, entries, listed(entries))
