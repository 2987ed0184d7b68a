"""What an uploaded data set holds, found in one pass of flat memory."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import ColumnInspection, DatasetInspection
from app.contracts.problem import quoted, refuse
from workers.pipeline.npz import LABELS, Archive, Column, open_archive, read_chunks
from workers.pipeline.protocol import DatasetInspected
from workers.pipeline.reporter import Reporter

_CHUNK_BYTES = 4 << 20
_FEW_SAMPLES = 32
_PIXEL_LIKE = 200.0
_LARGEST_TO_SUM = 1e300  # a chunk has at most 2**22 elements: below this, their float64 sum cannot overflow


@dataclass
class _Statistics:
    """Running figures that stay finite for all finite values, where a running sum would not."""

    low: float = field(default=np.inf)
    high: float = field(default=-np.inf)
    mean: float = 0.0
    count: int = 0

    def observe(self, chunk: npt.NDArray[np.generic]) -> None:
        self.low = min(self.low, float(chunk.min()))
        self.high = max(self.high, float(chunk.max()))
        count = self.count + chunk.size
        mean = self.mean * (self.count / count) + _mean(chunk) * (chunk.size / count)
        # rounding must not carry the mean past the values it is the mean of: the largest float64 has no neighbour
        self.mean = min(max(mean, self.low), self.high)
        self.count = count


def inspect_dataset(path: Path, *, max_unpacked_bytes: int, reporter: Reporter) -> DatasetInspected:
    """Raises ProblemFound for everything that calibration could trip over later."""
    archive = open_archive(path, max_unpacked_bytes=max_unpacked_bytes)
    columns = []
    for done, column in enumerate(archive.columns):
        columns.append(_inspect_column(archive, column))
        reporter.progress(done + 1, len(archive.columns), "arrays")
    _warn(archive, columns, reporter)
    inspection = DatasetInspection(
        format="npz",
        num_samples=archive.num_samples,
        columns=tuple(columns),
        has_labels=archive.column(LABELS) is not None,
    )
    return DatasetInspected(inspection=inspection, warnings=tuple(reporter.warnings))


def _inspect_column(archive: Archive, column: Column) -> ColumnInspection:
    if column.name == LABELS and column.dtype.kind not in "iu":
        raise refuse("labels_invalid", f"The labels are {column.dtype.name}, not integers.", entry=LABELS)
    statistics = _Statistics()
    seen = 0
    for chunk in read_chunks(archive, column, chunk_bytes=_CHUNK_BYTES):
        _refuse_nonfinite(column, chunk, seen)
        if column.dtype.kind != "b":
            statistics.observe(chunk)
        seen += chunk.size
    if column.name == LABELS and statistics.low < 0:
        raise refuse("labels_invalid", f"The smallest label is {statistics.low:.0f}.", entry=LABELS)
    known = statistics.count > 0
    return ColumnInspection(
        name=column.name,
        dtype=column.dtype.newbyteorder("=").name,
        shape=column.shape,
        min=statistics.low if known else None,
        max=statistics.high if known else None,
        mean=statistics.mean if known else None,
    )


def _mean(chunk: npt.NDArray[np.generic]) -> float:
    """In float64, at most a rounding beyond the values; huge ones are brought to at most 1 before they are added."""
    largest = max(abs(float(chunk.min())), abs(float(chunk.max())))
    if largest < _LARGEST_TO_SUM:
        return float(chunk.sum(dtype=np.float64)) / chunk.size
    return float((chunk.astype(np.float64) / largest).sum()) / chunk.size * largest


def _refuse_nonfinite(column: Column, chunk: npt.NDArray[np.generic], offset: int) -> None:
    if column.dtype.kind != "f" or bool(np.isfinite(chunk).all()):
        return
    first = offset + int(np.argmin(np.isfinite(chunk)))
    row_elements = max(1, column.row_bytes // column.dtype.itemsize)
    detail = f"Sample {first // row_elements} of {quoted(column.name)} holds NaN or an infinite value."
    raise refuse("calibration_nonfinite", detail, entry=column.name)


def _warn(archive: Archive, columns: list[ColumnInspection], reporter: Reporter) -> None:
    if archive.num_samples < _FEW_SAMPLES:
        reporter.warn(
            "few_samples",
            f"There are only {archive.num_samples} samples; ranges are steadier with {_FEW_SAMPLES} or more.",
        )
    for column in columns:
        if column.dtype.startswith("float") and (column.max or 0.0) > _PIXEL_LIKE and (column.min or 0.0) >= 0.0:
            reporter.warn(
                "unscaled_pixels",
                f"{quoted(column.name)} looks like pixel values of 0 to 255; most models want them normalized.",
            )
        if column.name != LABELS and column.min is not None and column.min == column.max:
            reporter.warn("constant_column", f"All values of {quoted(column.name)} are equal.")
