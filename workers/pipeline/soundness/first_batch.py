"""The first samples and the float model's answers to them: what everything that is made of it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.feeder import Feeder
from workers.pipeline.soundness.answers import Answers, Deviation, beyond, deviations
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import Executor, RuntimeRefused
from workers.targets.target import Target

_ROWS = 4
"""A fault of a graph shows on any sample; each costs a run without optimizations."""


@dataclass(frozen=True)
class FirstBatch:
    feeds: Batch
    expected: Answers
    is_deterministic: bool
    """Two runs of the float model gave the same. Where they did not, nothing can be proven."""
    model: Path
    target: Target
    threads: int

    @classmethod
    def of(
        cls, session: Executor, feeder: Feeder, model: Path, target: Target, reporter: Reporter, *, threads: int
    ) -> "FirstBatch":
        """session: of the float model, whose file is `model`. Raises RuntimeRefused."""
        feeds = _runnable(session, feeder)
        expected = session.run(feeds)
        again = beyond(deviations(expected, session.run(feeds)))
        if again is not None:
            reporter.warn(
                "not_deterministic",
                f"The float model answers the same samples differently each time ({again}): all figures include that.",
            )
        return cls(feeds, expected, again is None, model, target, threads)

    def floats(self) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """The answers that noise can be measured of."""
        return {n: a for n, a in self.expected.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"}

    def deviation_of(self, graph: Executor) -> Deviation | None:
        """Of a graph that claims to compute the same; None where rounding explains it, or nothing can be proven."""
        if not self.is_deterministic:
            return None
        found = deviations(self.expected, graph.run(self.feeds))
        return None if beyond(found) is None else beyond(found, self._floor)

    @cached_property
    def _floor(self) -> Mapping[str, Deviation]:
        """What the runtime's own optimizations change in the float model: two orders of the same additions."""
        try:
            plain = self.target.open(self.model, threads=self.threads, optimized=False)
            return deviations(self.expected, plain.run(self.feeds))
        except RuntimeRefused:
            return {}


def _runnable(session: Executor, feeder: Feeder) -> Batch:
    """Some samples, or one where the model takes no more."""
    one = feeder.rows_of_exactly(feeder.fixed_batch or 1)
    session.run(one)
    if feeder.fixed_batch is not None or feeder.samples.num_samples == 1:
        return one
    some = feeder.rows_of_exactly(min(_ROWS, feeder.samples.num_samples))
    try:
        session.run(some)
    except RuntimeRefused:
        return one
    return some
