"""Images of handwritten digits, in three parts with none in common."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_SEED = 0
_SIDE = 28


@dataclass(frozen=True)
class Digits:
    images: npt.NDArray[np.float32]
    """[images, 1, 28, 28], 0..1."""
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    training: Digits
    evaluation: Digits
    calibration: Digits


def read(folder: Path) -> Digits:
    """The images of 0.json to 9.json, each file one digit, pixel after pixel."""
    pixels = [_images(folder / f"{digit}.json") for digit in range(10)]
    labels = np.repeat(np.arange(10), [len(images) for images in pixels])
    return Digits(np.concatenate(pixels), labels)


def split(digits: Digits, *, evaluation: int, calibration: int) -> Split:
    """A shuffle that is always the same; what is left after evaluation and calibration is trained on."""
    order = np.random.default_rng(_SEED).permutation(len(digits.labels))
    held_out, calibrated, trained = np.split(order, [evaluation, evaluation + calibration])
    return Split(_taken(digits, trained), _taken(digits, held_out), _taken(digits, calibrated))


def _images(path: Path) -> npt.NDArray[np.float32]:
    values = json.loads(path.read_text(encoding="utf-8"))["data"]
    return np.array(values, np.float32).reshape(-1, 1, _SIDE, _SIDE)


def _taken(digits: Digits, rows: npt.NDArray[np.int64]) -> Digits:
    return Digits(digits.images[rows], digits.labels[rows])
