"""Some samples, kept in memory with the float model's answers: quick to ask, again and again, what a change costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.feeder import Feeder
from workers.pipeline.sensitivity.division import Division
from workers.quantization.error_metrics import decibels, power
from workers.quantization.executor.executor import Executor
from workers.quantization.observers import RealTokens

DoubleArray = npt.NDArray[np.float64]

HELD_OUT = 512
"""Samples of a part that are kept at most."""

_KEPT_BYTES = 128 << 20
_FEWEST_KEPT = 32
"""Samples that are kept whatever they take."""


@dataclass(frozen=True)
class HeldOutBatch:
    feeds: Batch
    tokens: RealTokens | None
    expected: npt.NDArray[np.float32]
    """The float model's first float output."""
    rows: int
    """Samples; what is beyond them fills a fixed batch."""

    @property
    def nbytes(self) -> int:
        return self.expected.nbytes + sum(array.nbytes for array in self.feeds.values())


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
        return float(self.noises(session, settings).sum())

    def noises(self, session: Executor, settings: Batch | None = None) -> DoubleArray:
        """The same, sample by sample; of a batch whose output has no axis of samples, one figure for all of them."""
        found = [np.zeros(0)]
        for batch in self.batches:
            actual = session.run({**batch.feeds, **(settings or {})}, [self.output])[self.output]
            found.append(_by_sample(_difference(np.asarray(actual, np.float32), batch.expected), batch))
        return np.concatenate(found)

    def sqnr_db(self, session: Executor) -> float:
        return decibels(self.signal, self.noise(session))


NOBODY = HeldOut("", ())


def hold_out(
    session: Executor, feeder: Feeder, division: Division, *, part: int, output: str, rows: int, samples: int = HELD_OUT
) -> HeldOut:
    """The first samples of a part; whole batches, for models that take nothing else."""
    batches: list[HeldOutBatch] = []
    kept_samples = kept_bytes = 0
    for fed in division.batches(feeder, rows, part=part, samples=samples):
        feeds, tokens = feeder.padding.read(fed.feeds)
        expected = np.asarray(session.run(feeds, [output])[output], np.float32)
        batches.append(HeldOutBatch(feeds, tokens, expected, fed.rows))
        kept_samples += fed.rows
        kept_bytes += batches[-1].nbytes
        if kept_samples >= _FEWEST_KEPT and kept_bytes >= _KEPT_BYTES:
            break
    return HeldOut(output, tuple(batches))


def _difference(actual: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Answers of another shape count as none at all; a number that is lost, as ten times the largest."""
    if actual.shape != expected.shape:
        return expected
    finite = np.isfinite(expected)
    answered = finite & np.isfinite(actual)
    lost = 10.0 * np.abs(expected[finite]).max(initial=0.0)
    found = np.where(finite, np.float32(lost), np.float32(0.0))
    np.subtract(actual, expected, out=found, where=answered)
    return found


def _by_sample(difference: npt.NDArray[np.float32], batch: HeldOutBatch) -> DoubleArray:
    """[n, ...] or [n * positions, ...] -> [samples]"""
    given = len(next(iter(batch.feeds.values())))
    if difference.ndim == 0 or not difference.size or len(difference) % given:
        return np.array([power(difference)])
    return np.array([power(one) for one in difference.reshape(given, -1)[: batch.rows]])


def dominant(noises: Sequence[float], *, share: float) -> list[int]:
    """Indices of those that each make up at least `share` of the whole, the largest first."""
    total = sum(noises)
    order = sorted(range(len(noises)), key=lambda i: -noises[i])
    return [i for i in order if total > 0.0 and noises[i] >= share * total]
