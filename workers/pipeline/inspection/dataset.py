"""What an uploaded data set holds, found in one pass of flat memory."""

from pathlib import Path

from app.contracts.inspection import DatasetInspection
from app.contracts.preparation import ImagePreparation, Preparation, TextPreparation
from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.opening import format_of, open_table
from workers.ingestion.data.preparations import checked, inferred, label_column
from workers.ingestion.data.samples import LABELS
from workers.ingestion.data.table import Table, column_of, elements, left_out, refuse_unusable
from workers.ingestion.data.text_labels import label_values, text_labels
from workers.pipeline.inspection.column_statistics import ColumnStatistics
from workers.pipeline.inspection.dataset_warnings import CHARACTERS_PER_TOKEN, warn_of, warn_of_left_out
from workers.pipeline.inspection.label_checks import one_hot_labels, refuse_labels_of_other_kinds
from workers.pipeline.inspection.sample_summary import summarize
from workers.protocol.outcome import DatasetInspected
from workers.protocol.reporter import Reporter

_CHUNK_BYTES = 4 << 20
_USUAL_MAX_LENGTH = 512


def inspect_dataset(
    path: Path, *, max_unpacked_bytes: int, reporter: Reporter, preparation: Preparation | None = None
) -> DatasetInspected:
    """Raises ProblemFound for everything that calibration could trip over later."""
    if format_of(path) == "images":
        return _inspect_images(path, preparation, max_unpacked_bytes=max_unpacked_bytes, reporter=reporter)
    table = open_table(path, max_unpacked_bytes=max_unpacked_bytes)
    text = _preparation(table, preparation, reporter)
    if text is None:
        refuse_labels_of_other_kinds(table)
    statistics, not_finite = _statistics(table, text, reporter)
    others = (*table.left_out, *(left_out(name, found) for name, found in not_finite.items()))
    table = table.only([s.column.name for s in statistics])
    label = LABELS if text is None else label_column(text, table)
    if text is not None and label is not None:
        _check_text_labels(table, text, label, reporter)
    labels = next((s for s in statistics if text is None and s.column.name == LABELS), None)
    one_hot = labels is not None and one_hot_labels(table, labels, reporter)
    content = _content(table, text, label)
    summary = summarize(table, content, named=text is None)
    warn_of(table, statistics, summary, label, reporter)
    warn_of_left_out(table, others, reporter)
    inspection = DatasetInspection(
        format=format_of(path),
        num_samples=table.num_samples,
        columns=tuple(s.inspection() for s in statistics),
        has_labels=label is not None and column_of(table, label) is not None,
        preparation=text,
        preview=summary.preview,
        sample_digest=summary.digest,
        labels_one_hot=one_hot,
        left_out=others,
    )
    return DatasetInspected(inspection=inspection, warnings=tuple(reporter.warnings))


def _preparation(table: Table, declared: Preparation | None, reporter: Reporter) -> TextPreparation | None:
    if declared is not None:
        return checked(declared, table)
    found = inferred(table)
    if found is not None:
        labels = f"labels from {quoted(found.label)}" if found.label else "no labels"
        reporter.warn(
            "preparation_inferred",
            f"Nothing was declared: the text is taken from the column {quoted(found.text)}, with {labels}.",
        )
    return found


def _statistics(
    table: Table, text: TextPreparation | None, reporter: Reporter
) -> tuple[list[ColumnStatistics], dict[str, ProblemFound]]:
    """Of all columns, in the order of the file; and why others, with values that are not finite, can be no inputs.

    Raises ProblemFound when these are all there is.
    """
    long_from = CHARACTERS_PER_TOKEN * ((text.max_length if text else None) or _USUAL_MAX_LENGTH)
    tokenized = {text.text, text.text_pair} if text else set()
    found = {c.name: ColumnStatistics(c, long_from if c.name in tokenized else None) for c in table.columns}
    not_finite: dict[str, ProblemFound] = {}
    done, total = 0, sum(elements(c) for c in table.columns)
    for piece in table.pieces(chunk_bytes=_CHUNK_BYTES):
        try:
            found[piece.name].observe(piece)
        except ProblemFound as refused:
            if piece.name == LABELS:
                raise
            not_finite.setdefault(piece.name, refused)
        done += piece.values.size
        reporter.progress(done, total, "values")
    usable = [s for name, s in found.items() if name not in not_finite]
    refuse_unusable([s.column.name for s in usable], list(not_finite.values()))
    return usable, not_finite


def _check_text_labels(table: Table, text: TextPreparation, label: str, reporter: Reporter) -> None:
    labels = text_labels(table, label, declared=text.classes, of_model=None, warn=reporter.warn)
    for row, values in label_values(table, label):
        labels.indices(values, row)


def _content(table: Table, text: TextPreparation | None, label: str | None) -> tuple[str, ...]:
    if text is not None:
        return tuple(name for name in (text.text, text.text_pair) if name is not None)
    return tuple(c.name for c in table.columns if c.name != label and c.shape[0] == table.num_samples) or (LABELS,)


def _inspect_images(
    path: Path, preparation: Preparation | None, *, max_unpacked_bytes: int, reporter: Reporter
) -> DatasetInspected:
    if preparation is not None and not isinstance(preparation, ImagePreparation):
        detail = "A preparation of text needs a table; the data set is a zip of images."
        raise refuse("preparation_invalid", detail, pointer="/preparation/kind")
    from workers.pipeline.inspection.images import (  # noqa: PLC0415  the image library only where there are some
        inspect_images,
    )

    return inspect_images(path, preparation, max_unpacked_bytes=max_unpacked_bytes, reporter=reporter)
