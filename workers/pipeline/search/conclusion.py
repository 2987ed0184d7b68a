"""From figures to the job's outcome."""

import platform

from app.contracts.result import Environment, QuantizeOutcome, VariantOutcome
from workers.pipeline.delivery.candidates import Candidate, Produced, lowbit_version
from workers.pipeline.delivery.report import _files
from workers.pipeline.evaluation.benchmark import Benchmarks
from workers.pipeline.evaluation.comparison import Evaluation
from workers.pipeline.original import _Baseline
from workers.pipeline.search.choice import choose, pareto_front
from workers.pipeline.search.variants import BASELINE, baseline_variant, candidate_variant
from workers.pipeline.search.verdict import verdict
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask
from workers.targets import onnxruntime_cpu
from workers.targets.processor import cpu_has_vnni, cpu_model


def _variants(
    baseline: _Baseline,
    candidates: tuple[Candidate, ...],
    evaluation: Evaluation,
    timings: Benchmarks,
    task: QuantizeTask,
) -> tuple[VariantOutcome, ...]:
    return (
        baseline_variant(baseline.size_bytes, evaluation, timings[BASELINE]),
        *(candidate_variant(c, evaluation, timings[c.key], task.objective) for c in candidates),
    )


def _conclude(
    variants: tuple[VariantOutcome, ...],
    produced: Produced,
    task: QuantizeTask,
    reporter: Reporter,
) -> QuantizeOutcome:
    # all portable candidates are one graph, and so are those in the runtime's own form
    graphs = {c.key: c.portable is None for c in produced.candidates}
    best, outcome = choose(variants, task.objective, graphs=graphs)
    chosen = next(v for v in variants if v.key == best)
    return QuantizeOutcome(
        outcome=outcome,
        verdict=verdict(chosen, variants[0], task.objective, outcome),
        best=best,
        pareto=pareto_front(variants),
        variants=variants,
        files=_files(produced.candidates),
        layers=chosen.layers,
        recipe=task.recipe,
        environment=_environment(task, produced.calibrated_by),
        warnings=tuple(reporter.warnings),
    )


def _environment(task: QuantizeTask, calibrated_by: str | None) -> Environment:
    return Environment(
        runtime="onnxruntime",
        runtime_version=onnxruntime_cpu.runtime_version(),
        cpu=cpu_model(),
        cpu_has_vnni=cpu_has_vnni(),
        threads=task.threads,
        calibrated_by=calibrated_by,
        python=platform.python_version(),
        lowbit=lowbit_version(),
    )
