"""All candidates of a job, one after the other: each is kept once it is made, so that a retry makes only the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.contracts.status import Stage
from workers.pipeline.delivery.candidate_form import CandidateForm, PartsForm
from workers.pipeline.delivery.candidates import Candidate, Produced, written
from workers.pipeline.delivery.soundness import CandidateProof
from workers.pipeline.desk import Desk
from workers.pipeline.methods.method import Maker, Proposal
from workers.pipeline.original import Original
from workers.pipeline.pair_limit import is_exact
from workers.protocol.step_keys import Production, production_of
from workers.protocol.tasks import QuantizeTask
from workers.quantization.passes.store_in_half import store_in_half
from workers.targets.target import Target


@dataclass(frozen=True)
class Workshop:
    """Where proposals become files."""

    task: QuantizeTask
    target: Target
    original: Original
    desk: Desk
    outputs: Path

    def produced(self, proposals: Sequence[Proposal], maker: Maker) -> Produced:
        """Raises ProblemFound."""
        reporter, steps = self.desk.reporter, self.desk.steps
        reporter.enter(maker.stage)
        form = CandidateForm(
            self.task, self.target, self.outputs, self.original.session.inputs, self.original.session.outputs
        )
        is_exact_here = is_exact(self.task.recipe, has_vnni=self.target.facts().cpu_has_vnni)
        proof = CandidateProof(self.original.first, self.original.session.interface, reporter, is_exact_here)
        asked = production_of(steps.ground, self.task.recipe)
        anew: list[str] = []

        def make(proposal: Proposal) -> Produced:
            anew.append(proposal.part)
            candidates = proof.sound(partial(self._candidates, maker, proposal))
            return Produced(candidates, maker.calibrated_by)

        made = [steps.part(asked, p.part, form, partial(make, p)) for p in proposals]
        self._say_that_all_are_there(asked, tuple(p.part for p in proposals), is_news=bool(anew))
        if reporter.stage != Stage.QUANTIZE:
            reporter.enter(Stage.QUANTIZE)  # nothing was left to do in it: it is over like the others
        return Produced(tuple(c for one in made for c in one.candidates), made[-1].calibrated_by)

    def _candidates(self, maker: Maker, proposal: Proposal, left_out: frozenset[str]) -> tuple[Candidate, ...]:
        drafts = maker.make(proposal, self.original, self.desk, left_out=left_out)
        for draft in drafts:
            store_in_half(draft.model, self.original.half_types)
        return written(drafts, self.task, self.outputs)

    def _say_that_all_are_there(self, asked: Production, parts: tuple[str, ...], *, is_news: bool) -> None:
        steps, form = self.desk.steps, PartsForm(parts)
        if not is_news:
            steps.result(asked, form, lambda: parts)
        elif steps.has_parts(asked, parts):
            steps.leave(asked, form, parts)
