"""A job as a person reads it: the float model against the chosen one, then the sentence that sums it up."""

from typing import TYPE_CHECKING

from lowbit.command.figures import factor, milliseconds, points, share, size, size_change
from lowbit.command.printing import print_lines, print_table
from lowbit.resources import JobResult, VariantMetrics

if TYPE_CHECKING:
    from lowbit.job import Job


def print_verdict(job: "Job") -> None:
    """Nothing for a job without a result."""
    result = job.result
    if result is None:
        return
    print_table(("", "float", "best", "change"), comparison(result))
    print_lines(["", result["verdict"]])
    print_lines(f"Warning: {warning['detail']}" for warning in job.warnings)


def comparison(result: JobResult) -> list[tuple[str, str, str, str]]:
    float_model, best = result["baseline"], result["best"]
    before, after = float_model["size_bytes"], best["size_bytes"]
    return [
        ("variant", float_model["label"], best["label"], ""),
        ("accuracy", _accuracy(float_model), _accuracy(best), points(best["accuracy_delta"])),
        ("agreement", "", share(best["agreement"], best["agreement_ci95"]), ""),
        ("size", size(before), size(after), size_change(before, after)),
        ("latency p50", milliseconds(_median(float_model)), milliseconds(_median(best)), ""),
        ("speed", factor(float_model["speedup"] or 1.0), factor(best["speedup"]), ""),
    ]


def _accuracy(metrics: VariantMetrics) -> str:
    return share(metrics["accuracy"], metrics["accuracy_ci95"])


def _median(metrics: VariantMetrics) -> float | None:
    latency = metrics["latency_ms"]
    return latency["p50"] if latency else None
