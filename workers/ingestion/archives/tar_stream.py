"""The bytes of a tar from its beginning to its end, whether they lie in the file or are unzipped on the way."""

from collections.abc import Iterator
from typing import Protocol

from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.archives.bomb import check_growth
from workers.ingestion.archives.deflate import gunzipped
from workers.ingestion.archives.limits import ArchiveLimits
from workers.ingestion.archives.packed_file import PIECE_BYTES, PackedFile


class TarStream(Protocol):
    position: int

    def read(self, count: int) -> bytes:
        """The next bytes: `count`, or fewer where a piece or the archive ends; none only at the end."""
        ...

    def skip(self, count: int) -> None:
        """Go on by `count` bytes. Raises ProblemFound if the archive ends before."""
        ...


class PlainStream:
    def __init__(self, packed: PackedFile) -> None:
        self._packed = packed
        self.position = 0

    def read(self, count: int) -> bytes:
        data = self._packed.read(self.position, min(count, PIECE_BYTES, self._packed.size - self.position))
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        if count > self._packed.size - self.position:
            raise cut_off()
        self.position += count


class GzipStream:
    """Counts what is unzipped, so that a bomb is stopped while it goes off."""

    def __init__(self, packed: PackedFile, limits: ArchiveLimits) -> None:
        self._packed_bytes = packed.size
        self._limits = limits
        self._pieces: Iterator[bytes] = gunzipped(packed, max_members=limits.max_entries)
        self._piece = b""
        self._taken = 0
        self._unpacked = 0
        self.position = 0

    def read(self, count: int) -> bytes:
        if self._taken == len(self._piece):
            self._next_piece()
        data = self._piece[self._taken : self._taken + count]
        self._taken += len(data)
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        while count > 0:
            if self._taken == len(self._piece) and not self._next_piece():
                raise cut_off()
            step = min(count, len(self._piece) - self._taken)
            self._taken += step
            self.position += step
            count -= step

    def _next_piece(self) -> bytes:
        self._piece = next((piece for piece in self._pieces if piece), b"")
        self._taken = 0
        self._unpacked += len(self._piece)
        check_growth(self._unpacked, self._packed_bytes, self._limits)
        return self._piece


def read_exactly(stream: TarStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.read(count - len(data))
        if not piece:
            raise cut_off()
        data += piece
    return data


def cut_off() -> ProblemFound:
    return refuse("archive_corrupt", "The tar was cut off.")
