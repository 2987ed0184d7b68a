"""A few samples, kept in memory with the float model's answers: quick to ask, again and again, what a change costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.feeder import Feeder
from workers.quantization.error_metrics import decibels, power
from workers.quantization.executor.executor import Executor
from workers.quantization.observers import RealTokens

HELD_OUT = 64
"""Samples that judge ranges and do not shape them, where there are at least _ENOUGH."""

_ENOUGH = 4 * HELD_OUT


@dataclass(frozen=True)
class HeldOutBatch:
    feeds: Batch
    tokens: RealTokens | None
    expected: npt.NDArray[np.float32]
    """The float model's first float output."""
    rows: int = 1
    """Samples in it."""


@dataclass(frozen=True)
class HeldOut:
    """The slice. `output` is the name of what is compared."""

    output: str
    batches: tuple[HeldOutBatch, ...]

    @property
    def signal(self) -> float:
        return sum(power(b.expected) for b in self.batches)

    def first(self, samples: int) -> "HeldOut":
        """Fewer of them, for questions that are asked often; whole batches."""
        count = 0
        for number, batch in enumerate(self.batches, start=1):
            count += batch.rows
            if count >= samples:
                return HeldOut(self.output, self.batches[:number])
        return self

    def noise(self, session: Executor, settings: Batch | None = None) -> float:
        """Sum of squared differences between the session's output and the float model's."""
        total = 0.0
        for batch in self.batches:
            actual = session.run({**batch.feeds, **(settings or {})}, [self.output])[self.output]
            total += power(np.asarray(actual, np.float32) - batch.expected)
        return total

    def sqnr_db(self, session: Executor) -> float:
        return decibels(self.signal, self.noise(session))


def samples_held_out(total: int) -> int:
    """How many samples calibration should leave out: none when it has few."""
    return HELD_OUT if total >= _ENOUGH else 0


def hold_out(session: Executor, feeder: Feeder, *, output: str, rows: int, samples: int = HELD_OUT) -> HeldOut:
    """The first samples; whole batches, for models that take nothing else."""
    batches: list[HeldOutBatch] = []
    for fed in feeder.batches(rows, limit=min(samples, feeder.samples.num_samples)):
        feeds, tokens = feeder.padding.read(fed.feeds)
        expected = np.asarray(session.run(feeds, [output])[output], np.float32)
        batches.append(HeldOutBatch(feeds, tokens, expected, fed.rows))
    return HeldOut(output, tuple(batches))


def dominant(noises: Sequence[float], *, share: float) -> list[int]:
    """Indices of those that each make up at least `share` of the whole, the largest first."""
    total = sum(noises)
    order = sorted(range(len(noises)), key=lambda i: -noises[i])
    return [i for i in order if total > 0.0 and noises[i] >= share * total]
