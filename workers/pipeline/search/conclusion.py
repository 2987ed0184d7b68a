"""From what was counted and timed to the job's outcome."""

import platform
from dataclasses import dataclass

from app.contracts.objective import Objective
from app.contracts.result import Environment, QuantizeOutcome, VariantOutcome
from workers.pipeline.delivery.candidates import Produced, lowbit_version
from workers.pipeline.delivery.report import output_files
from workers.pipeline.evaluation.benchmark import Benchmarks
from workers.pipeline.evaluation.tally import TopOneTally
from workers.pipeline.original import Original
from workers.pipeline.search.choice import choose, pareto_front
from workers.pipeline.search.judging import Tallies
from workers.pipeline.search.poor_results import poor_results
from workers.pipeline.search.variants import BASELINE, baseline_variant, candidate_variant
from workers.pipeline.search.verdict import verdict
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.targets.target import Target


@dataclass(frozen=True)
class Measured:
    """All figures of a job, and what they are of."""

    original: Original
    produced: Produced
    tallies: Tallies
    timings: Benchmarks

    def variants(self, objective: Objective) -> tuple[VariantOutcome, ...]:
        """The float model first. What was counted of it is the same in every tally."""
        any_tally = next(iter(self.tallies.values()), TopOneTally(""))
        return (
            baseline_variant(self.original.size_bytes, any_tally, self.timings[BASELINE]),
            *(
                candidate_variant(c, self.tallies.get(c.key, TopOneTally("")), self.timings[c.key], objective)
                for c in self.produced.candidates
            ),
        )


def conclude(measured: Measured, task: QuantizeTask, target: Target, reporter: Reporter) -> QuantizeOutcome:
    variants = measured.variants(task.objective)
    candidates = measured.produced.candidates
    # all portable candidates are one graph, and so are those in the runtime's own form
    graphs = {c.key: c.portable is None for c in candidates}
    best, outcome = choose(variants, task.objective, graphs=graphs)
    chosen = next(v for v in variants if v.key == best)
    for notice in poor_results(chosen.metrics, variants[0].metrics):
        reporter.warn(notice.code, notice.detail)
    return QuantizeOutcome(
        outcome=outcome,
        verdict=verdict(chosen, variants[0], task.objective, outcome, reporter.warnings),
        best=best,
        pareto=pareto_front(variants),
        variants=variants,
        files=output_files(candidates),
        layers=chosen.layers,
        recipe=task.recipe,
        environment=_environment(task, target, measured.produced.calibrated_by),
        warnings=tuple(reporter.warnings),
    )


def _environment(task: QuantizeTask, target: Target, calibrated_by: str | None) -> Environment:
    return Environment(
        **target.facts()._asdict(),
        threads=task.threads,
        calibrated_by=calibrated_by,
        python=platform.python_version(),
        lowbit=lowbit_version(),
    )
