"""Sentences with the mean of people's ratings of their sentiment, as a task of two classes.

Source: Hutto and Gilbert, VADER, ICWSM 2014: snippets of film and product reviews, tweets and newspaper editorials.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

_UNDECIDED = 0.5
"""A mean rating (-4 to 4) nearer to 0 is no label: the raters themselves did not agree on a sign."""

_SEED = 0


@dataclass(frozen=True)
class Labelled:
    texts: tuple[str, ...]
    labels: tuple[int, ...]
    """1 for a positive sentiment, 0 for a negative one."""


@dataclass(frozen=True)
class Split:
    training: Labelled
    evaluation: Labelled
    calibration: Labelled


def read(folder: Path) -> Labelled:
    """All decided texts of the four domains, each once, in the order of the files."""
    ratings: dict[str, float] = {}
    for path in sorted(folder.glob("*_GroundTruth.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            _, rating, text = line.split("\t")
            ratings.setdefault(text.strip(), float(rating))
    decided = {text: rating for text, rating in ratings.items() if abs(rating) >= _UNDECIDED}
    return Labelled(tuple(decided), tuple(int(rating > 0) for rating in decided.values()))


def split(rows: Labelled, *, training: int, evaluation: int, calibration: int) -> Split:
    """Three parts with no row in common, of a shuffle that is always the same.

    Raises ValueError when there are too few rows.
    """
    if training + evaluation + calibration > len(rows.texts):
        raise ValueError(f"{training} + {evaluation} + {calibration} rows are asked for, {len(rows.texts)} are there.")
    shuffled = [int(row) for row in np.random.default_rng(_SEED).permutation(len(rows.texts))]
    return Split(
        _taken(rows, shuffled[:training]),
        _taken(rows, shuffled[training : training + evaluation]),
        _taken(rows, shuffled[training + evaluation : training + evaluation + calibration]),
    )


def _taken(rows: Labelled, order: list[int]) -> Labelled:
    return Labelled(tuple(rows.texts[row] for row in order), tuple(rows.labels[row] for row in order))
