"""Which class each image belongs to: from a file of labels, or from the folders the images lie in.

Names become indices in the order of, first, the classes that the preparation declares; then the model's own, when they
are those; then themselves as numbers, when all are; else sorted by code point.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.images_label_file import Label
from workers.ingestion.data.images_listing import Listing
from workers.ingestion.data.text_labels import Warn

_MAX_CLASSES = 1 << 31
_SHOWN = 8


class Classes(NamedTuple):
    """The orders that may hold."""

    declared: tuple[str, ...] | None = None
    """By the preparation."""
    of_model: tuple[str, ...] | None = None


def labels_of(
    listing: Listing, rows: Mapping[str, Label] | None, declared: tuple[str, ...] | None
) -> tuple[Label, ...] | None:
    """As they were given, in the order of the images; None where images have none."""
    if rows is not None and listing.label_file is not None:
        return _from_rows(listing, rows, PurePosixPath(listing.label_file).parent)
    return _from_folders(listing, declared or ())


def class_indices(
    labels: Sequence[Label], images: Sequence[str], classes: Classes, warn: Warn | None = None
) -> tuple[int, ...]:
    """Raises ProblemFound, with the image, for a label that fits no order."""
    given = set(labels)
    if classes.declared is not None and len(set(classes.declared)) < len(classes.declared):
        raise refuse("preparation_invalid", "`classes` names a class twice.")
    for known in (classes.declared, classes.of_model):
        if known is not None and given <= set(known):
            return _positions(labels, known)
    numbers = tuple(_number(label) for label in labels)
    if all(n is not None for n in numbers):
        indices = tuple(n for n in numbers if n is not None)
        _check_range(indices, images, len(classes.declared) if classes.declared else _MAX_CLASSES)
        return indices
    _refuse_strangers(labels, images, classes)
    names = sorted(str(label) for label in given)
    if warn is not None:
        shown = ", ".join(quoted(name[:40]) for name in names[:_SHOWN])
        warn("classes_in_alphabetical_order", f"Nobody put the classes in order, so they were sorted: {shown}.")
    return _positions(labels, names)


def numbered_unlike_sorted(labels: Sequence[Label]) -> bool:
    """True for names like 1, 2, 10: some tools would count them as 0, 2, 1."""
    numbers = [_number(name) for name in sorted({label for label in labels if isinstance(label, str)})]
    return None not in numbers and numbers != list(range(len(numbers)))


def _from_rows(listing: Listing, rows: Mapping[str, Label], base: PurePosixPath) -> tuple[Label, ...]:
    by_entry = {str(base / file): label for file, label in rows.items()}
    missing = [name for name in listing.images if name not in by_entry]
    if missing:
        raise refuse(
            "labels_length_mismatch",
            f"{len(missing)} of {len(listing.images)} images are not in {quoted(str(listing.label_file))}.",
            entry=missing[0],
            hint="Name each file as in the zip, beginning at the folder of the file of labels.",
        )
    extra = sorted(by_entry.keys() - set(listing.images))
    if extra:
        raise refuse(
            "labels_length_mismatch",
            f"{len(extra)} labels are of images that the zip does not hold.",
            entry=extra[0],
            hint="Remove these lines, or pack the images.",
        )
    return tuple(by_entry[name] for name in listing.images)


def _from_folders(listing: Listing, declared: tuple[str, ...]) -> tuple[str, ...] | None:
    # a single folder around everything is only how it was packed, unless it is the name of a class
    root = listing.folder.parent if listing.folder.name in declared else listing.folder
    below = [PurePosixPath(name).relative_to(root).parts for name in listing.images]
    if all(len(parts) == 1 for parts in below):
        return None
    for name, parts in zip(listing.images, below, strict=True):
        if len(parts) == 1:
            raise refuse(
                "labels_invalid",
                "The image lies outside of the folders that hold the others.",
                entry=name,
                hint="One folder for each class, all images in one folder, or a file labels.csv at the top.",
            )
    return tuple(parts[0] for parts in below)


def _positions(labels: Sequence[Label], order: Sequence[str]) -> tuple[int, ...]:
    index = {name: i for i, name in enumerate(order)}
    return tuple(index[str(label)] for label in labels)


def _number(label: Label) -> int | None:
    if isinstance(label, int):
        return label
    return int(label) if label.isascii() and label.isdigit() and len(label) < 10 else None


def _check_range(indices: tuple[int, ...], images: Sequence[str], count: int) -> None:
    for index, name in zip(indices, images, strict=True):
        if not 0 <= index < count:
            raise refuse(
                "labels_invalid",
                f"The label {quoted(str(index))} is not an index of {count} classes.",
                entry=name,
                hint="Classes are counted from 0, in the order of the model's outputs.",
            )


def _refuse_strangers(labels: Sequence[Label], images: Sequence[str], classes: Classes) -> None:
    """A name among others that are known is a mistake: to sort them would shift every class."""
    if any(isinstance(label, int) for label in labels):
        at = next(i for i, label in enumerate(labels) if isinstance(label, str))
        hint = "Use integers from 0 for all images, or names of classes for all."
        raise refuse("labels_invalid", "Some labels are integers and this one is a name.", entry=images[at], hint=hint)
    if classes.declared is not None:
        raise _stranger(labels, images, classes.declared, "the preparation's `classes`")
    if classes.of_model is not None and set(labels) & set(classes.of_model):
        raise _stranger(labels, images, classes.of_model, "the model's classes")


def _stranger(labels: Sequence[Label], images: Sequence[str], known: tuple[str, ...], whose: str) -> ProblemFound:
    at = next(i for i, label in enumerate(labels) if label not in known)
    names = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
    return refuse(
        "labels_invalid",
        f"{quoted(str(labels[at]))} is not one of {whose}.",
        entry=images[at],
        hint=f"They are: {quoted(names)}. Declare others in the preparation's `classes`.",
    )
