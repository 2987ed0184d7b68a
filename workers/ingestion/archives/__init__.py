"""Opens zip, tar and tar.gz files that strangers sent.

The formats are walked here, byte by byte: Python's own readers follow links, believe declared sizes and accept entries
that overlap. What is accepted is what common archivers write; whatever two readers could understand differently is
refused. Sizes are counted on the bytes that come out, and memory holds one piece of an entry.
"""

from workers.ingestion.archives.archive import Archive as Archive
from workers.ingestion.archives.archive import open_archive as open_archive
from workers.ingestion.archives.entry import Entry as Entry
from workers.ingestion.archives.limits import ArchiveLimits as ArchiveLimits
