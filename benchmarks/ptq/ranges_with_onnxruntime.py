"""What ONNX Runtime's min-max calibration costs by itself: a process that finds ranges and writes no model."""

import json
import sys
from pathlib import Path

from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from benchmarks.assignment import MEASURED_FILE, Calibration
from benchmarks.with_onnxruntime import Reader


def calibrate(told: Calibration) -> None:
    """Of the tensors that `quantize_static` calibrates by default; batches of eight."""
    calibrator = create_calibrator(
        told.model,
        sorted({*QLinearOpsRegistry, *QDQRegistry}),
        str(Path(told.folder, "augmented.onnx")),
        CalibrationMethod.MinMax,
    )
    calibrator.collect_data(Reader(Path(told.archive), told.samples))
    measured = {"tensors": len(calibrator.compute_data().data)}
    Path(told.folder, MEASURED_FILE).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    calibrate(Calibration(**json.loads(sys.argv[1])))
