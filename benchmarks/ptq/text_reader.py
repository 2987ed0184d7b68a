"""The recognition network of rapidocr and lines of text to read, as in `make bench`."""

import shutil
from pathlib import Path

import numpy as np

from benchmarks.material import lines_of_text
from tests.real_data import READER

_INPUT = "x"


def make(folder: Path, *, evaluation: int = 256, calibration: int = 512) -> None:
    """Write model.onnx, calibration.npz and evaluation.npz: there are no labels, the float model is the reference."""
    shutil.copyfile(READER, folder / "model.onnx")
    lines = lines_of_text(calibration + evaluation)
    # named by string: the name is the array's in the archive, not an option of savez
    np.savez(folder / "calibration.npz", **{_INPUT: lines[:calibration]})  # type: ignore[arg-type]
    np.savez(folder / "evaluation.npz", **{_INPUT: lines[calibration:]})  # type: ignore[arg-type]
