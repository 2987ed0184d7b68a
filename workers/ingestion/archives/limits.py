"""How much an archive may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    max_unpacked_bytes: int = 64 << 30
    """All entries together."""
    max_entries: int = 100_000
    """Files and folders, with the folders that only a file's name mentions."""
    max_ratio: int = 200
    """Unpacked to packed bytes, of an entry and of the whole archive. Weights and pictures hardly shrink at all."""
    ratio_from_bytes: int = 64 << 20
    """The ratio counts from here on: zeros shrink a thousandfold, which is not worth refusing while small."""
    max_name_bytes: int = 255
    """The whole name, with its folders, in UTF-8."""
    max_depth: int = 32
    """Folders above a file."""
    max_extended_bytes: int = 32 << 20
    """Of a tar's extended headers, all together: 100,000 of 300 bytes. They are read record by record."""
    max_directory_bytes: int = 64 << 20
    """Of a zip's central directory: 100,000 entries with names of 200 bytes and what archivers add."""
