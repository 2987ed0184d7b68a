"""The archive as it lies on disk, read at any place without a position that readers could share by mistake."""

import os
from typing import BinaryIO

from app.contracts.problem import refuse

PIECE_BYTES = 1 << 20
"""The most that any stream of the archives hands out at once."""


class PackedFile:
    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, count: int, *, entry: str | None = None) -> bytes:
        """Exactly `count` bytes. `entry` is for the problem where the archive ends before."""
        if not 0 <= offset <= offset + count <= self.size:
            raise refuse("archive_corrupt", "The archive ends before what it promises, or was cut off.", entry=entry)
        data = os.pread(self._descriptor, count, offset)
        while len(data) < count:  # a read may be interrupted
            more = os.pread(self._descriptor, count - len(data), offset + len(data))
            if not more:
                raise refuse("archive_corrupt", "The archive became shorter while it was read.", entry=entry)
            data += more
        return data
