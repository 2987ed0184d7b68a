"""From counts and timings to the figures of each variant."""

from collections.abc import Sequence

from app.contracts.objective import Objective
from app.contracts.problem import quoted
from app.contracts.result import BatchBenchmark, LayerReport, Metrics, OutputMetrics, VariantOutcome
from workers.pipeline.delivery.candidates import Candidate
from workers.pipeline.evaluation.intervals import paired_difference_interval, wilson_interval
from workers.pipeline.evaluation.tally import OutputTally, TopOneTally
from workers.pipeline.search.choice import is_admissible

BASELINE = "baseline"


def baseline_variant(size_bytes: int, tally: TopOneTally, timings: Sequence[BatchBenchmark]) -> VariantOutcome:
    """The float model as it was uploaded."""
    n = tally.labelled
    metrics = Metrics(
        size_bytes=size_bytes,
        accuracy=tally.float_correct / n if n else None,
        accuracy_ci95=wilson_interval(tally.float_correct, n) if n else None,
        accuracy_delta=0.0 if n else None,
        agreement=1.0 if tally.predictions else None,
        samples=tally.samples,
    )
    return VariantOutcome(
        key=BASELINE, role="baseline", label="float", metrics=_with_speed(metrics, timings), admissible=True
    )


def candidate_variant(
    candidate: Candidate, tally: TopOneTally, timings: Sequence[BatchBenchmark], objective: Objective
) -> VariantOutcome:
    metrics = _with_speed(_quality(candidate.size_bytes, tally), timings)
    return VariantOutcome(
        key=candidate.key,
        role="candidate",
        label=candidate.label,
        calibration_method=candidate.method,
        percentile=candidate.percentile,
        metrics=metrics,
        admissible=is_admissible(metrics, objective),
        layers=printable(candidate.layers),
    )


def printable(layers: Sequence[LayerReport]) -> tuple[LayerReport, ...]:
    """A node may be called anything, but the result must be storable. Sound names stay whole: recipes repeat them."""
    return tuple(layer.model_copy(update=_storable(layer)) for layer in layers)


def _storable(layer: LayerReport) -> dict[str, object]:
    changed: dict[str, object] = {} if layer.node.isprintable() else {"node": quoted(layer.node)}
    if layer.figures is not None and not layer.figures.input.isprintable():
        changed["figures"] = layer.figures.model_copy(update={"input": quoted(layer.figures.input)})
    return changed


def _quality(size_bytes: int, tally: TopOneTally) -> Metrics:
    n, predictions = tally.labelled, tally.predictions
    gained, lost = tally.gained, tally.lost
    return Metrics(
        size_bytes=size_bytes,
        accuracy=tally.correct / n if n else None,
        accuracy_ci95=wilson_interval(tally.correct, n) if n else None,
        accuracy_delta=(gained - lost) / n if n else None,
        accuracy_delta_ci95=paired_difference_interval(gained, lost, n) if n else None,
        agreement=tally.agreeing / predictions if predictions else None,
        agreement_ci95=wilson_interval(tally.agreeing, predictions) if predictions else None,
        sqnr_db=tally.sqnr.db(),
        outputs=tuple(_output(name, counted) for name, counted in tally.outputs.items()),
        samples=tally.samples,
    )


def _output(name: str, counted: OutputTally) -> OutputMetrics:
    return OutputMetrics(
        name=quoted(name),
        sqnr_db=counted.sqnr.db(),
        worst_channel_db=counted.channels.worst_db(),
        values=counted.values,
        nonfinite=counted.nonfinite,
        lost=counted.lost,
        misshapen=counted.misshapen,
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
