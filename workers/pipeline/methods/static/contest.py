"""From the statistics of two parts to one form: what is made of each part is judged by the other, and what wins is made
again of both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from workers.pipeline.methods.static.judging import PLAIN, Choice, Made, Panel, Split, forms_of
from workers.pipeline.methods.static.refinement import Calibrated, Refiner, Studied, together
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.sensitivity.held_out import HELD_OUT, NOBODY, HeldOut
from workers.pipeline.sensitivity.probe import PROBED
from workers.targets.preparation import Prepared


@dataclass(frozen=True)
class Observed:
    """A graph, and what each part of the samples showed of it."""

    prepared: Prepared
    parts: Sequence[Statistics]

    def of(self, part: int, probed: HeldOut) -> Calibrated:
        return Calibrated(self.prepared, self.parts[part], probed)

    def of_all(self, probed: HeldOut) -> Calibrated:
        return Calibrated(self.prepared, reduce(add, self.parts), probed)


@dataclass(frozen=True)
class Contest:
    refiner: Refiner
    panel: Panel
    observed: Observed
    plain: Observed
    """The graph that is not equalized; the same where there is no other."""

    def decided(self, *, corrects: bool) -> tuple[Choice, Made]:
        """corrects: forms are judged with corrected biases too."""
        if len(self.observed.parts) == 1:
            self.panel.desk.reporter.log("So few samples cannot be held out, so the plain form is taken unjudged.")
            return PLAIN, self._plain(self.plain.of_all(NOBODY), None)
        shaping = (0, 1) if self.panel.division.is_mutual else (1,)
        held = [self.panel.held_out(part, HELD_OUT) for part in (0, 1)]
        known = [self.observed.of(part, held[part].first(PROBED // len(shaping))) for part in shaping]
        studied = self.refiner.studied(known)
        agreed = together(studied)
        splits = [
            Split(self._forms(part, calibrated, own, smooths=bool(agreed.smoothed)), held[1 - part], held[part], part)
            for part, calibrated, own in zip(shaping, known, studied, strict=True)
        ]
        choice = self.panel.choice(splits, corrects=corrects)
        return self._made_again(choice, agreed, _joined(one.probed for one in known))

    def _forms(self, part: int, known: Calibrated, studied: Studied, *, smooths: bool) -> Mapping[Choice, Made]:
        without = self.refiner.without_smoothing(known, studied)
        smoothed = self.refiner.smoothed(known, studied, without=without) if smooths else None
        return forms_of(self.refiner.plain(self.plain.of(part, NOBODY), None), without, smoothed)

    def _made_again(self, choice: Choice, agreed: Studied, probed: HeldOut) -> tuple[Choice, Made]:
        """Of all samples. Where they show nothing that is worth smoothing any more, the plain form is left."""
        if not choice.plain:
            known = self.observed.of_all(probed)
            make = self.refiner.smoothed if choice.smoothed else self.refiner.without_smoothing
            refined = make(known, agreed)
            if refined is not None:
                return choice, Made(refined, next(s for s in refined.strategies if s.key == choice.strategy))
            choice = PLAIN
        return choice, self._plain(self.plain.of_all(probed), agreed)

    def _plain(self, known: Calibrated, studied: Studied | None) -> Made:
        refined = self.refiner.plain(known, studied)
        return Made(refined, refined.strategies[0])


def _joined(parts: Iterable[HeldOut]) -> HeldOut:
    some = list(parts)
    return HeldOut(some[0].output, tuple(batch for one in some for batch in one.batches))
