"""A tar, plain or zipped: its files, found by walking over it once."""

from collections.abc import Callable, Iterator

from workers.ingestion.archives.bomb import check_growth
from workers.ingestion.archives.entry import Entry
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.packed_file import PIECE_BYTES, PackedFile
from workers.ingestion.archives.tar_stream import GzipStream, PlainStream, TarStream, cut_off
from workers.ingestion.archives.tar_walk import walk


class TarSource:
    """`begin` gives the tar's bytes from the start. A stream that is zipped cannot go back, so it is begun again."""

    def __init__(self, begin: Callable[[], TarStream], *, packed_bytes: int, limits: ArchiveLimits) -> None:
        self._begin = begin
        self._stream = begin()
        self.entries = tuple(walk(self._stream, limits))
        check_growth(sum(entry.bytes for entry in self.entries), packed_bytes, limits)

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        position, end = entry.offset, entry.offset + entry.bytes
        while position < end:
            piece = self._stream_at(position).read(min(PIECE_BYTES, end - position))
            if not piece:
                raise cut_off()
            position += len(piece)
            yield piece

    def _stream_at(self, position: int) -> TarStream:
        if position < self._stream.position:
            self._stream = self._begin()
        self._stream.skip(position - self._stream.position)
        return self._stream


def tar_source(packed: PackedFile, limits: ArchiveLimits) -> TarSource:
    return TarSource(lambda: PlainStream(packed), packed_bytes=packed.size, limits=limits)


def gzipped_tar_source(packed: PackedFile, limits: ArchiveLimits) -> TarSource:
    """The whole stream is unzipped once when it is opened: its checksums and its growth are known from then on."""
    return TarSource(lambda: GzipStream(packed, limits), packed_bytes=packed.size, limits=limits)
