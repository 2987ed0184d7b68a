"""Does the data that judges the model hold samples that its ranges were set by? Then it flatters the result."""

from workers.ingestion.data.row_digests import row_digests
from workers.ingestion.data.table import rows_at_a_time
from workers.ingestion.data.text import TextSamples
from workers.pipeline.feeding.feeder import Feeder
from workers.protocol.reporter import Reporter

_MOST_SAMPLES = 10_000
_MOST_BYTES = 256 << 20
"""Read of each data set, so that large samples take no longer than many."""


def warn_of_overlap(calibration: Feeder, evaluation: Feeder, reporter: Reporter) -> None:
    """Labels do not count, and of texts what is written, not how it is padded."""
    used = set(_digests(calibration))
    judged = _digests(evaluation)
    share = sum(digest in used for digest in judged) / len(judged)
    if share > 0.0:
        reporter.warn(
            "evaluation_overlaps_calibration",
            f"{share:.1%} of the evaluation samples are calibration samples too, which flatters the result.",
        )


def _digests(feeder: Feeder) -> list[bytes]:
    samples = feeder.samples
    if isinstance(samples, TextSamples):
        rows = rows_at_a_time(samples.source.row_bytes)
        return list(row_digests(samples.source, samples.texts, rows=rows, limit=_MOST_SAMPLES, named=False))
    one = sum(array.nbytes for array in feeder.rows_of_exactly(1).values())
    limit = max(1, min(_MOST_SAMPLES, _MOST_BYTES // max(one, 1)))
    return list(row_digests(samples, feeder.inputs, rows=rows_at_a_time(one), limit=limit))
