"""What a user should know of a data set that stops nothing."""

from collections.abc import Sequence

from app.contracts.inspection import ColumnInspection, LeftOut
from app.contracts.notice_thresholds import FEW_SAMPLES, PIXEL_LIKE
from app.contracts.problem import quoted
from workers.ingestion.data.table import Table
from workers.pipeline.inspection.column_statistics import ColumnStatistics
from workers.pipeline.inspection.sample_summary import Summary
from workers.protocol.reporter import Reporter

CHARACTERS_PER_TOKEN = 6
"""More than a token has on average in any language, so that a text called too long is."""
_MANY_DUPLICATES = 0.01
_SHOWN = 8
"""Columns that a warning names."""


def warn_of(
    table: Table, statistics: Sequence[ColumnStatistics], summary: Summary, label: str | None, reporter: Reporter
) -> None:
    if table.num_samples < FEW_SAMPLES:
        reporter.warn(
            "few_samples",
            f"There are only {table.num_samples} samples; ranges are steadier with {FEW_SAMPLES} or more.",
        )
    for found in statistics:
        _of_numbers(found.inspection(), reporter, is_label=found.column.name == label)
        _of_texts(found, reporter)
    _of_duplicates(summary, reporter)


def warn_of_left_out(table: Table, left_out: Sequence[LeftOut], reporter: Reporter) -> None:
    """What stops no model but one with such an input."""
    if left_out:
        shown = " ".join(f"{one.name}: {one.detail}" for one in left_out[:_SHOWN])
        detail = f"{len(left_out)} columns can be no input of a model and are left alone. {shown}"
        reporter.warn("ignored_columns", detail)
    lengths = [f"{quoted(c.name)} {c.shape[0]}" for c in table.columns if c.shape[0] != table.num_samples]
    if lengths:
        reporter.warn(
            "columns_of_other_lengths",
            f"There are {table.num_samples} samples. These columns have another number of rows, and are left alone "
            f"unless they are a model's inputs: {', '.join(lengths[:_SHOWN])}.",
        )


def _of_numbers(column: ColumnInspection, reporter: Reporter, *, is_label: bool) -> None:
    if column.dtype.startswith("float") and (column.max or 0.0) > PIXEL_LIKE and (column.min or 0.0) >= 0.0:
        reporter.warn(
            "unscaled_pixels",
            f"{quoted(column.name)} looks like pixel values of 0 to 255; most models want them normalized.",
        )
    if not is_label and column.min is not None and column.min == column.max:
        reporter.warn("constant_column", f"All values of {quoted(column.name)} are equal.")


def _of_texts(found: ColumnStatistics, reporter: Reporter) -> None:
    if found.long_texts and found.long_from:
        reporter.warn(
            "long_texts",
            f"{found.long_texts} texts of {quoted(found.column.name)} have {found.long_from} characters or more: they "
            f"will be cut, at {found.long_from // CHARACTERS_PER_TOKEN} tokens or before.",
        )


def _of_duplicates(summary: Summary, reporter: Reporter) -> None:
    if summary.compared and summary.duplicates >= _MANY_DUPLICATES * summary.compared and summary.duplicates:
        reporter.warn(
            "duplicated_samples",
            f"{summary.duplicates} of the first {summary.compared} samples repeat an earlier one.",
        )
