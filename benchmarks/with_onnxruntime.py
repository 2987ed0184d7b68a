"""Calibrate and quantize with ONNX Runtime's own tool, set up as its documentation advises for CPUs.

The batches come from Lowbit's streaming reader, eight samples each as in Lowbit: what grows with the samples is then
the tool's. It runs its calibration session on as many threads as there are physical cores; that cannot be set.
"""

from collections.abc import Iterator
from pathlib import Path

from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

from benchmarks.assignment import Quantization
from benchmarks.child import measure
from workers.ingestion.data.npz import open_archive
from workers.ingestion.data.samples import Batch

_ROWS = 8
_WEIGHTED = ["Conv", "Gemm", "MatMul"]


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Batches of eight from Lowbit's streaming reader."""

    def __init__(self, archive: Path, samples: int | None) -> None:
        self._batches: Iterator[Batch] = open_archive(archive).batches(_ROWS, limit=samples)

    def get_next(self) -> Batch | None:
        return next(self._batches, None)


def quantize(assignment: Quantization) -> dict[str, Path]:
    """One call of quantize_static, with per-channel 7-bit weights and uint8 activations as Lowbit has them."""
    percentile = assignment.contender == "ort_percentile"
    written = Path(assignment.folder, f"{assignment.contender}.onnx")
    quantize_static(
        assignment.model,
        written,
        Reader(Path(assignment.archive), assignment.samples),
        op_types_to_quantize=_WEIGHTED if assignment.contender == "ort_minmax_weighted" else None,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.Percentile if percentile else CalibrationMethod.MinMax,
        extra_options=dict(assignment.peer_options),
    )
    return {"p99.999" if percentile else "minmax": written}


if __name__ == "__main__":
    measure(quantize)
