"""What the entries of a zip are: images, a file of labels, or neither. Judged from their names alone."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from app.contracts.problem import refuse

LABEL_FILES = ("labels.csv", "labels.jsonl")

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})


class Listing(NamedTuple):
    images: tuple[str, ...]
    """Names of entries, sorted by code point: the order of the samples."""
    folder: PurePosixPath
    """The deepest folder that holds all images: what was packed. Folders below it are classes."""
    label_file: str | None
    ignored: tuple[str, ...]


def listed(names: Iterable[str]) -> Listing:
    """Raises ProblemFound when there is no image, or more than one file of labels."""
    files = sorted(n for n in names if not n.endswith("/"))
    visible = [n for n in files if not _hidden(PurePosixPath(n))]
    images = tuple(n for n in visible if PurePosixPath(n).suffix.lower() in _SUFFIXES)
    if not images:
        raise refuse(
            "calibration_empty",
            "The archive holds no images.",
            hint="Pack files that end in .png, .jpg, .jpeg, .bmp or .webp; 100 to 500 are usual.",
        )
    folder = _common_folder(images)
    label_file = _label_file(visible, folder)
    taken = {*images, label_file}
    return Listing(images, folder, label_file, tuple(n for n in files if n not in taken))


def _hidden(name: PurePosixPath) -> bool:
    """As `.thumbnails/1.png`: nobody meant it to be a sample."""
    return any(part.startswith(".") for part in name.parts)


def _common_folder(images: tuple[str, ...]) -> PurePosixPath:
    # the first and the last in order differ at least as early as any two between them
    first, last = (PurePosixPath(n).parent for n in (min(images), max(images)))
    return next(f for f in (first, *first.parents) if last.is_relative_to(f))


def _label_file(names: Iterable[str], folder: PurePosixPath) -> str | None:
    """At the top, or in the folder that was packed."""
    places = {folder, *folder.parents}
    found = [n for n in names if PurePosixPath(n).name in LABEL_FILES and PurePosixPath(n).parent in places]
    if len(found) > 1:
        raise refuse("labels_invalid", "There are two files of labels.", entry=found[1], hint="Keep one of them.")
    return found[0] if found else None
