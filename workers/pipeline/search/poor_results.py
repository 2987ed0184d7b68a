"""What a user should not have to find out in production: results that are poor, in words and with a code for each.

quality_low          an output under QUALITY_FLOOR_DB, or more than LOST_POINTS of accuracy lost
answers_lost         NaN or infinity where the float model has numbers
nonfinite_answers    the float model itself answers with NaN or infinity
shapes_differ        another number of rows than the float model's, where rounding decides what is kept
larger_than_float    the file
slower_than_float    beyond the timer's noise
"""

from collections.abc import Iterator

from app.contracts.inspection import Notice
from app.contracts.result import Metrics, OutputMetrics
from workers.pipeline.search.choice import TIMER_NOISE

QUALITY_FLOOR_DB = 20.0
"""Noise of a tenth of the signal. Classifiers often survive it; scores, boxes and embeddings do not."""

LOST_POINTS = 0.05

IN_THE_VERDICT = frozenset({"quality_low", "answers_lost", "shapes_differ", "not_deterministic"})
"""Whoever warned. What concerns size and speed stands there anyhow."""


def poor_results(best: Metrics, baseline: Metrics) -> Iterator[Notice]:
    for output in best.outputs:
        yield from _of_output(output)
    if best.accuracy_delta is not None and best.accuracy_delta <= -LOST_POINTS:
        lost = -best.accuracy_delta * 100
        yield Notice(code="quality_low", detail=f"{lost:.1f} points of accuracy are lost.")
    if best.size_bytes > baseline.size_bytes:
        share = best.size_bytes / baseline.size_bytes
        yield Notice(code="larger_than_float", detail=f"The file has {share:.0%} of the float model's size.")
    if best.speedup is not None and best.speedup < 1.0 - TIMER_NOISE:
        yield Notice(code="slower_than_float", detail=f"It runs at {best.speedup:.2f}x the float model's speed.")


def _of_output(output: OutputMetrics) -> Iterator[Notice]:
    if output.sqnr_db is not None and output.sqnr_db < QUALITY_FLOOR_DB:
        detail = f"Output {output.name} keeps {output.sqnr_db:.1f} dB; under {QUALITY_FLOOR_DB:g} dB few uses survive."
        yield Notice(code="quality_low", detail=detail)
    if output.lost:
        detail = f"{output.lost} of {output.values} values of {output.name} are NaN or infinite, and finite in float."
        yield Notice(code="answers_lost", detail=detail)
    if output.nonfinite:
        detail = f"{output.nonfinite} of {output.values} values of {output.name} are NaN or infinite in float already."
        yield Notice(code="nonfinite_answers", detail=detail)
    if output.misshapen:
        detail = f"{output.misshapen} samples are answered in another shape of {output.name} than in float."
        yield Notice(code="shapes_differ", detail=detail)
