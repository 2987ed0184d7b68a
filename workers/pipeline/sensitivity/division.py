"""How the calibration samples are dealt out: what judges the forms of a model has shaped none of them.

    256 samples or more   every fourth block judges, of the first 1,024 samples; the other blocks shape
    fewer                 every second block; the two halves judge each other
    one block             nobody can judge

Blocks are dealt out in turn, because data often comes sorted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from workers.pipeline.feeding.feeder import Fed, Feeder

_ENOUGH = 256
"""Samples from which on a quarter is enough to judge, and the forms need not be made twice."""

_AMONG = 1024
"""First samples, among which those that judge are found: a quarter of them, and no later one has to be read for it."""

_BLOCK = 8
"""Samples that go to one part together, so that they can be run together."""

_SCARCE = 8 * _BLOCK
"""Below, every sample is a block of its own."""


@dataclass(frozen=True)
class Division:
    """Samples 0 to `total` - 1 in one part, or in two: part 0 judges what part 1 has shaped."""

    total: int
    block: int = _BLOCK
    stride: int = 1
    """Every so many blocks, one is of part 0."""

    @classmethod
    def of(cls, feeder: Feeder, *, limit: int | None) -> "Division":
        """In two parts, if there are two blocks. limit: the first so many samples are all that is used."""
        whole = cls.undivided(feeder, limit=limit)
        block = feeder.fixed_batch or (_BLOCK if whole.total >= _SCARCE else 1)
        if whole.total <= block:
            return whole
        return cls(whole.total, block, 4 if whole.total >= _ENOUGH else 2)

    @classmethod
    def undivided(cls, feeder: Feeder, *, limit: int | None = None) -> "Division":
        there_are = feeder.samples.num_samples
        return cls(min(limit or there_are, there_are))

    @property
    def parts(self) -> int:
        return 1 if self.stride == 1 else 2

    @property
    def is_mutual(self) -> bool:
        """Part 1 judges what part 0 has shaped, too."""
        return self.stride == 2

    def part_of(self, sample: int) -> int:
        if self.parts == 1:
            return 0
        judges = sample // self.block % self.stride == 0 and (self.is_mutual or sample < _AMONG)
        return 0 if judges else 1

    def dealt(self, feeder: Feeder, rows: int, *, limit: int | None = None) -> Iterator[tuple[int, Fed]]:
        """All samples in batches of at most `rows`, each with the part that it is of."""
        done = 0
        for fed in feeder.batches(self._rows(rows), limit=min(limit or self.total, self.total)):
            yield self.part_of(done), fed
            done += fed.rows

    def batches(self, feeder: Feeder, rows: int, *, part: int | None = None, samples: int) -> Iterator[Fed]:
        """The first `samples` of a part, or of all; whole batches."""
        found = 0
        last = _AMONG if part == 0 and not self.is_mutual else None
        for of, fed in self.dealt(feeder, rows, limit=last):
            if part is None or of == part:
                yield fed
                found += fed.rows
                if found >= samples:
                    return

    def _rows(self, rows: int) -> int:
        """As many as divide a block."""
        if self.parts == 1:
            return rows
        return min(self.block, 1 << (rows.bit_length() - 1))
