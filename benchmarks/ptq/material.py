"""`python -m benchmarks.ptq.material FOLDER`: the float models that are quantized, and their data, each in a folder.

model.onnx; peer.onnx: the same as ONNX Runtime's tool wants it; calibration.npz: the model's inputs; evaluation.npz:
other rows, with `labels` where there are any. What is complete is left alone.
"""

import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.material import preprocess

FILES = ("model.onnx", "peer.onnx", "calibration.npz", "evaluation.npz")

# each module is imported only when its material is missing: torch and transformers take seconds
MODULES = {
    "minilm": "benchmarks.ptq.text_classifier",
    "cnn_skewed": "benchmarks.ptq.skewed_cnn",
    "rapidocr_rec": "benchmarks.ptq.text_reader",
}


def make(folder: Path, subjects: tuple[str, ...] = tuple(MODULES)) -> None:
    for subject in subjects:
        if not (folder / subject).exists():
            _make_one(folder, subject)


def _make_one(folder: Path, subject: str) -> None:
    """All files or none: the folder gets its name when it is complete."""
    unfinished = folder / f"{subject}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    maker: Callable[[Path], None] = import_module(MODULES[subject]).make
    maker(unfinished)
    preprocess(unfinished / "model.onnx", unfinished / "peer.onnx")
    missing = [name for name in FILES if not (unfinished / name).exists()]
    if missing:
        raise RuntimeError(f"{MODULES[subject]} has not written {', '.join(missing)}.")
    unfinished.rename(folder / subject)


if __name__ == "__main__":
    make(Path(sys.argv[1]), tuple(sys.argv[2:]) or tuple(MODULES))
