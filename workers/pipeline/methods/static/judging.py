"""Which form is made of the calibration data: one that was better than the plain one on samples that it had not seen.

Forms are made of one part of the samples and judged by the other, before and after bias correction. What wins is made
again of all samples: of a procedure is judged what it does, not what it did to some samples. The plain form, which
`int8-fast` would make of all samples, is among them, and wins unless another is better beyond chance.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from workers.pipeline.desk import Desk
from workers.pipeline.methods.static.refinement import Refined
from workers.pipeline.methods.static.strategies import Strategy
from workers.pipeline.original import Original
from workers.pipeline.sensitivity.division import Division
from workers.pipeline.sensitivity.evidence import DoubleArray, best_on_evidence, loses_more
from workers.pipeline.sensitivity.held_out import HeldOut, hold_out
from workers.pipeline.sensitivity.layer_trials import LayerTrials
from workers.quantization.affine import QParams
from workers.quantization.error_metrics import decibels
from workers.quantization.executor.onnxruntime_session import loaded
from workers.quantization.layer_trial import LayerError
from workers.quantization.passes.correct_bias import has_correctable_bias
from workers.targets.preparation import Prepared
from workers.targets.target import Numbers, Target

Errors = Mapping[str, LayerError]
"""By operator."""


class Choice(NamedTuple):
    """What tells one form from another, whatever samples it is made of."""

    strategy: str
    smoothed: bool = False
    corrected: bool = False
    plain: bool = False

    def __str__(self) -> str:
        told = ["the plain form" if self.plain else self.strategy]
        return ", ".join(told + ["smoothed"] * self.smoothed + ["biases corrected"] * self.corrected)


PLAIN = Choice("minmax", plain=True)


@dataclass(frozen=True)
class Made:
    """A form of some samples."""

    refined: Refined
    strategy: Strategy

    @property
    def ways(self) -> Mapping[str, QParams]:
        """By tensor."""
        return {tensor: fit.qparams for tensor, fit in self.strategy.fits.items()}

    def numbers(self, corrections: Mapping[str, DoubleArray] | None = None) -> Numbers:
        return Numbers(self.ways, self.refined.rounded, corrections or {})


@dataclass(frozen=True)
class Split:
    """All forms of one part, and the samples that judge them: those of the other."""

    forms: Mapping[Choice, Made]
    judges: HeldOut
    shaping: HeldOut
    """Of the samples that the forms are made of."""
    part: int
    known: dict[Hashable, DoubleArray] = field(default_factory=dict)
    """Noise by what is judged: methods that find the same ranges make the same form."""


def forms_of(plain: Refined, without: Refined, smoothed: Refined | None) -> dict[Choice, Made]:
    found = {PLAIN: Made(plain, plain.strategies[0])}
    for refined, does in [(without, False), (smoothed, True)]:
        if refined is not None:
            found |= {Choice(s.key, smoothed=does): Made(refined, s) for s in refined.strategies}
    return found


@dataclass(frozen=True)
class Panel:
    """Judges the forms of all splits."""

    target: Target
    desk: Desk
    original: Original
    division: Division
    rows: int

    def held_out(self, part: int, samples: int) -> HeldOut:
        """Of a part: with the float model's answers."""
        output = self.original.output
        assert output is not None  # somebody has to be compared
        return hold_out(
            self.original.executor,
            self.original.calibration,
            self.division,
            part=part,
            output=output.name,
            rows=self.rows,
            samples=samples,
        )

    def choice(self, splits: Sequence[Split], *, corrects: bool) -> Choice:
        """corrects: forms are judged with corrected biases too."""
        choices = [choice for choice in splits[0].forms if all(choice in split.forms for split in splits)]
        noises = {choice: self._unseen(choice, splits) for choice in choices}
        if corrects:
            ahead = min(noises, key=lambda choice: float(noises[choice].sum()))
            tried = {PLAIN, ahead, self._best(noises, splits)}
            noises |= {choice: self._unseen(choice, splits) for choice in _corrected(tried)}
        chosen = self._best(noises, splits)
        self._tell(noises, chosen, sum(split.judges.signal for split in splits))
        return chosen

    def _best(self, noises: Mapping[Choice, DoubleArray], splits: Sequence[Split]) -> Choice:
        def clips_more(choice: Choice) -> bool:
            return loses_more(self._seen(choice, splits), self._seen(PLAIN, splits))

        return best_on_evidence(noises, plain=PLAIN, clips_more=clips_more)

    def _unseen(self, choice: Choice, splits: Sequence[Split]) -> DoubleArray:
        return np.concatenate([self._noise(choice, split, split.judges) for split in splits])

    def _seen(self, choice: Choice, splits: Sequence[Split]) -> DoubleArray:
        """Of the samples that shaped the form."""
        return np.concatenate([self._noise(choice, split, split.shaping) for split in splits])

    def _noise(self, choice: Choice, split: Split, samples: HeldOut) -> DoubleArray:
        made = split.forms[choice._replace(corrected=False)]
        spans = tuple(fit.span for fit in made.strategy.fits.values())
        same = (id(made.refined), spans, choice.corrected, id(samples))
        if same not in split.known:
            corrections = self._corrections(made, split.part) if choice.corrected else {}
            portable = next(self.target.forms(made.refined.prepared, made.numbers(corrections)))
            split.known[same] = samples.noises(loaded(portable.model, threads=self.desk.threads))
        return split.known[same]

    def _corrections(self, made: Made, part: int) -> Mapping[str, DoubleArray]:
        key = made.strategy.key
        ways = {key: made.ways}
        trials = LayerTrials(made.refined.prepared, made.refined.rounded, ways, self.desk.threads)
        errors = trials.run(
            self.original.calibration, self.desk.reporter, division=self.division, part=part, rows=self.rows
        )
        return mean_errors(made.refined.prepared, errors[key])

    def _tell(self, noises: Mapping[Choice, DoubleArray], chosen: Choice, signal: float) -> None:
        samples = len(noises[PLAIN])
        for choice, noise in noises.items():
            self.desk.reporter.log(
                f"On {samples} held-out samples, which shaped nothing of it: {choice} "
                f"{decibels(signal, float(noise.sum())):.1f} dB."
            )
        why = "No other form is better than the plain one beyond chance" if chosen == PLAIN else f"Taken: {chosen}"
        self.desk.reporter.log(f"{why}. It is made again of all samples.")


def _corrected(choices: Collection[Choice]) -> Iterator[Choice]:
    return (choice._replace(corrected=True) for choice in sorted(choices))


def mean_errors(prepared: Prepared, errors: Errors) -> dict[str, DoubleArray]:
    return {name: e.bias for name, e in errors.items() if e.positions and has_correctable_bias(prepared.nodes[name])}
