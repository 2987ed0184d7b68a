"""How a file is cut into parts: all of one size, but for the last."""

from dataclasses import dataclass

from app.storage.staging import MAX_PARTS

MEBIBYTE = 1024 * 1024
SMALLEST_PART_BYTES = 16 * MEBIBYTE
"""A cut costs at most one part, and a part costs a request and, in a directory, two syncs."""
LARGEST_PART_BYTES = 64 * MEBIBYTE
"""Unless `MAX_PARTS` of them are not enough, which is so from 625 GiB on."""
WANTED_PARTS = 1000
"""The list of so many parts is a body of 100 KB; below that, larger parts gain nothing."""


@dataclass(frozen=True)
class Layout:
    total_bytes: int
    part_bytes: int

    @classmethod
    def of(cls, total_bytes: int) -> "Layout":
        """The layout of a new upload."""
        wanted = MEBIBYTE * _divided(total_bytes, WANTED_PARTS * MEBIBYTE)
        usual = min(max(wanted, SMALLEST_PART_BYTES), LARGEST_PART_BYTES)
        return cls(total_bytes, max(usual, _divided(total_bytes, MAX_PARTS)))

    @property
    def part_count(self) -> int:
        return _divided(self.total_bytes, self.part_bytes)

    @property
    def numbers(self) -> range:
        return range(1, self.part_count + 1)

    def bytes_of(self, number: int) -> int:
        """What part `number` must have, exactly."""
        return min(self.part_bytes, self.total_bytes - (number - 1) * self.part_bytes)


def _divided(total: int, size: int) -> int:
    """Rounded up."""
    return -(-total // size)
