"""Running figures of one column of a data set, in one pass of flat memory."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import ColumnInspection
from app.contracts.problem import quoted, refuse
from workers.ingestion.data.samples import SampleColumn
from workers.ingestion.data.table import TEXT, Piece, row_elements

_LARGEST_TO_SUM = 1e300  # a piece has at most 2**22 elements: below this, their float64 sum cannot overflow


@dataclass
class ColumnStatistics:
    """Figures that stay finite for all finite values, where a running sum would not."""

    column: SampleColumn
    long_from: int | None = None
    """Characters from which a text counts as long."""
    low: float = field(default=np.inf)
    high: float = field(default=-np.inf)
    mean: float = 0.0
    count: int = 0
    long_texts: int = 0

    def observe(self, piece: Piece) -> None:
        """Raises ProblemFound for values that are not finite."""
        if self.column.dtype == TEXT:
            self._measure(piece.values)
            return
        self._refuse_nonfinite(piece)
        if piece.values.dtype.kind != "b":
            self._count(piece.values)

    def inspection(self) -> ColumnInspection:
        known = self.count > 0
        return ColumnInspection(
            name=self.column.name,
            dtype=self.column.dtype,
            shape=tuple(int(extent) for extent in self.column.shape),
            min=self.low if known else None,
            max=self.high if known else None,
            mean=self.mean if known else None,
        )

    def _measure(self, texts: npt.NDArray[np.generic]) -> None:
        if self.long_from is not None:
            self.long_texts += int((np.strings.str_len(texts) >= self.long_from).sum())  # type: ignore[arg-type]  # StringDType

    def _count(self, chunk: npt.NDArray[np.generic]) -> None:
        self.low = min(self.low, float(chunk.min()))
        self.high = max(self.high, float(chunk.max()))
        count = self.count + chunk.size
        mean = self.mean * (self.count / count) + _mean(chunk) * (chunk.size / count)
        # rounding must not carry the mean past the values it is the mean of: the largest float64 has no neighbour
        self.mean = min(max(mean, self.low), self.high)
        self.count = count

    def _refuse_nonfinite(self, piece: Piece) -> None:
        if piece.values.dtype.kind != "f" or bool(np.isfinite(piece.values).all()):
            return
        first = piece.start + int(np.argmin(np.isfinite(piece.values)))
        name = self.column.name
        detail = f"Sample {first // row_elements(self.column)} of {quoted(name)} holds NaN or an infinite value."
        raise refuse("calibration_nonfinite", detail, entry=name)


def _mean(chunk: npt.NDArray[np.generic]) -> float:
    """In float64, at most a rounding beyond the values; huge ones are brought to at most 1 before they are added."""
    largest = max(abs(float(chunk.min())), abs(float(chunk.max())))
    if largest < _LARGEST_TO_SUM:
        return float(chunk.sum(dtype=np.float64)) / chunk.size
    return float((chunk.astype(np.float64) / largest).sum()) / chunk.size * largest
