"""From counts and timings to the figures of each variant."""

from collections.abc import Sequence

from app.contracts.objective import Objective
from app.contracts.result import BatchBenchmark, Metrics, VariantOutcome
from workers.pipeline.candidates import Candidate
from workers.pipeline.choice import is_admissible
from workers.pipeline.evaluation import Comparison, Evaluation
from workers.pipeline.evaluation_statistics import paired_difference_interval, wilson_interval

BASELINE = "baseline"


def baseline_variant(size_bytes: int, evaluation: Evaluation, timings: Sequence[BatchBenchmark]) -> VariantOutcome:
    """The float model as it was uploaded."""
    n = evaluation.labelled
    metrics = Metrics(
        size_bytes=size_bytes,
        accuracy=evaluation.float_correct / n if n else None,
        accuracy_ci95=wilson_interval(evaluation.float_correct, n) if n else None,
        accuracy_delta=0.0 if n else None,
        agreement=1.0 if evaluation.predictions else None,
        samples=evaluation.samples,
    )
    return VariantOutcome(
        key=BASELINE, role="baseline", label="float", metrics=_with_speed(metrics, timings), admissible=True
    )


def candidate_variant(
    candidate: Candidate, evaluation: Evaluation, timings: Sequence[BatchBenchmark], objective: Objective
) -> VariantOutcome:
    comparison = evaluation.candidates.get(candidate.key, Comparison())
    metrics = _with_speed(_quality(candidate.path.stat().st_size, evaluation, comparison), timings)
    return VariantOutcome(
        key=candidate.key,
        role="candidate",
        label=candidate.label,
        calibration_method=candidate.calibration_method,
        percentile=candidate.percentile,
        metrics=metrics,
        admissible=is_admissible(metrics, objective),
    )


def _quality(size_bytes: int, evaluation: Evaluation, comparison: Comparison) -> Metrics:
    n, predictions = evaluation.labelled, evaluation.predictions
    gained, lost = comparison.gained, comparison.lost
    return Metrics(
        size_bytes=size_bytes,
        accuracy=comparison.correct / n if n else None,
        accuracy_ci95=wilson_interval(comparison.correct, n) if n else None,
        accuracy_delta=(gained - lost) / n if n else None,
        accuracy_delta_ci95=paired_difference_interval(gained, lost, n) if n else None,
        agreement=comparison.agreeing / predictions if predictions else None,
        agreement_ci95=wilson_interval(comparison.agreeing, predictions) if predictions else None,
        sqnr_db=comparison.sqnr.db(),
        samples=evaluation.samples,
    )


def _with_speed(metrics: Metrics, timings: Sequence[BatchBenchmark]) -> Metrics:
    if not timings:
        return metrics
    first = timings[0]
    return metrics.model_copy(
        update={
            "latency_ms": first.latency_ms,
            "speedup": first.speedup,
            "throughput_per_s": first.batch_size * 1000.0 / first.latency_ms.p50,
            "benchmark": tuple(timings),
        }
    )
