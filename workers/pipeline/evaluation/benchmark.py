"""How fast the float model and every candidate are, at each batch size that was asked for."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.contracts.objective import Benchmark
from app.contracts.result import BatchBenchmark, Latency
from workers.pipeline.evaluation.interleaving import interleave
from workers.pipeline.feeding.feeder import Feeder
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import RuntimeRefused
from workers.targets.target import Session

Benchmarks = dict[str, tuple[BatchBenchmark, ...]]


def benchmark(
    sessions: Mapping[str, Session], feeder: Feeder, asked: Benchmark, reporter: Reporter, *, baseline: str
) -> Benchmarks:
    """Per variant, one entry for each batch size; all variants of a batch size come from one interleaved run."""
    sizes = _possible_sizes(asked.batch_sizes, feeder, reporter)
    results: dict[str, list[BatchBenchmark]] = {key: [] for key in sessions}
    for done, size in enumerate(sizes):
        try:
            times = _time(sessions, feeder, size, asked.duration_s)
        except RuntimeRefused:
            reporter.warn("batch_size_skipped", f"The model cannot run with a batch of {size}.")
            continue
        reference = float(np.median(times[baseline]))
        for key, milliseconds in times.items():
            results[key].append(_summary(size, milliseconds, reference))
        reporter.progress(done + 1, len(sizes), "batch_sizes")
    return {key: tuple(entries) for key, entries in results.items()}


def _possible_sizes(asked: Sequence[int], feeder: Feeder, reporter: Reporter) -> tuple[int, ...]:
    fixed = feeder.fixed_batch
    if fixed is None:
        return tuple(dict.fromkeys(asked))
    for size in asked:
        if size != fixed:
            reporter.warn("batch_size_skipped", f"Batch size {size} was not measured: the model's is fixed at {fixed}.")
    return (fixed,)


def _time(sessions: Mapping[str, Session], feeder: Feeder, size: int, duration_s: float) -> dict[str, list[float]]:
    feeds = feeder.rows_of_exactly(size)
    for session in sessions.values():
        session.run(feeds)  # says why, if it cannot
    return interleave({key: session.timed(feeds) for key, session in sessions.items()}, duration_s=duration_s)


def _summary(size: int, milliseconds: Sequence[float], reference_p50: float) -> BatchBenchmark:
    p50, p90, p99 = (float(v) for v in np.percentile(milliseconds, [50, 90, 99]))
    latency = Latency(p50=p50, p90=p90, p99=p99, mean=float(np.mean(milliseconds)), std=float(np.std(milliseconds)))
    return BatchBenchmark(batch_size=size, latency_ms=latency, speedup=reference_p50 / p50, rounds=len(milliseconds))
