"""A candidate held against the float model on the same samples, a batch at a time: one candidate after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy.typing as npt

from app.contracts.inspection import TensorSpec
from workers.ingestion.data.samples import Batch
from workers.pipeline.evaluation.tally import Answers, Tally
from workers.pipeline.feeding.feeder import Fed, Feeder
from workers.quantization.executor.executor import Executor

Array = npt.NDArray[Any]
SomeTally = TypeVar("SomeTally", bound=Tally)

_PER_SAMPLE = 2
_KEPT_BYTES = 256 << 20
"""Of the float model's answers, which the next candidate meets again; what is beyond is computed again."""


@dataclass
class Judge:
    """Knows the float model, and the samples that it asks."""

    executor: Executor
    feeder: Feeder
    outputs: Sequence[TensorSpec]
    """Those that are compared."""
    rows: int
    """At a time."""
    _answers: dict[int, Answers] = field(default_factory=dict, repr=False)
    """The float model's, by batch."""
    _kept_bytes: int = field(default=0, repr=False)

    def judge(
        self,
        candidate: Executor,
        tally: SomeTally,
        *,
        upto: int | None = None,
        on_samples: Callable[[int], None] = lambda _seen: None,
    ) -> SomeTally:
        """Count on where the tally stopped: whole batches, until it has seen `upto` samples, or all.

        Raises ProblemFound when labels do not fit what the model predicts.
        """
        seen, counted = 0, tally.samples
        for number, fed in enumerate(self.feeder.batches(self.rows, limit=upto)):
            seen += fed.rows
            if seen > counted:
                feeds = self._without_padding(fed)
                expected = self._expected(number, fed, feeds)
                tally.observe(expected, self._answer(candidate, fed, feeds), fed.labels, samples=fed.rows)
                on_samples(seen)
        return tally

    def _expected(self, number: int, fed: Fed, feeds: Batch) -> Answers:
        if number in self._answers:
            return self._answers[number]
        answers = self._answer(self.executor, fed, feeds)
        size = sum(array.nbytes for array in answers.values())
        if self._kept_bytes + size <= _KEPT_BYTES:
            self._answers[number] = answers
            self._kept_bytes += size
        return answers

    def _answer(self, executor: Executor, fed: Fed, feeds: Batch) -> Answers:
        found = executor.run(feeds, [output.name for output in self.outputs])
        return {name: fed.per_sample(answer) for name, answer in found.items()}

    def _without_padding(self, fed: Fed) -> Batch:
        """Columns that are padding in every row change no answer for a whole sample; one per token they do."""
        per_sample = all(len(output.shape) == _PER_SAMPLE for output in self.outputs)
        return self.feeder.padding.read(fed.feeds)[0] if per_sample else fed.feeds
