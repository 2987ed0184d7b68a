"""What a zip of images holds: every header is read, and a spread of the images decoded to the end."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.contracts.inspection import ColumnInspection, DatasetInspection, PreviewValue
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import quoted
from workers.ingestion.data.images_archive import ImageArchive, opened_images
from workers.ingestion.data.images_label_file import Label
from workers.ingestion.data.images_labels import Classes, class_indices
from workers.ingestion.data.pixels import too_narrow
from workers.ingestion.data.pixels_decoding import Size, decode, read_size
from workers.ingestion.data.pixels_geometry import plan
from workers.ingestion.data.samples import LABELS
from workers.pipeline.inspection.image_warnings import warn_of_images, warn_of_labels
from workers.protocol.outcome import DatasetInspected
from workers.protocol.reporter import Reporter

_DECODED = 256
"""Images, evenly spread from the first to the last. The others are read, and their headers understood."""
_DIGESTED = 64
_PREVIEWED = 3


@dataclass
class _Seen:
    sizes: list[Size] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """Of the first images' bytes."""

    @property
    def sample_digest(self) -> str:
        return hashlib.sha256(b"".join(self.digests)).hexdigest()


def inspect_images(
    path: Path, preparation: ImagePreparation | None, *, max_unpacked_bytes: int, reporter: Reporter
) -> DatasetInspected:
    """Raises ProblemFound for everything that a job could trip over, as far as headers and a sample tell."""
    with opened_images(path, max_unpacked_bytes=max_unpacked_bytes) as archive:
        images = archive.listing.images
        labels = archive.labels(preparation.classes if preparation else None)
        classes = Classes(preparation.classes if preparation else None)
        indices = None if labels is None else class_indices(labels, images, classes)
        seen = _look_at(archive, preparation, reporter)
    warn_of_images(archive.listing, seen.sizes, preparation, reporter)
    if labels is not None:
        warn_of_labels(archive.listing, labels, preparation, reporter)
    inspection = DatasetInspection(
        format="images",
        num_samples=len(images),
        columns=_columns(seen.sizes, indices),
        has_labels=indices is not None,
        preparation=preparation,
        preview=_preview(images, seen.sizes, labels),
        sample_digest=seen.sample_digest,
    )
    return DatasetInspected(inspection=inspection, warnings=tuple(reporter.warnings))


def spread(count: int, most: int) -> frozenset[int]:
    """Up to `most` positions of `count`, the first and the last among them."""
    if count <= most:
        return frozenset(range(count))
    return frozenset(i * (count - 1) // (most - 1) for i in range(most))


def _look_at(archive: ImageArchive, preparation: ImagePreparation | None, reporter: Reporter) -> _Seen:
    images = archive.listing.images
    decoded = spread(len(images), _DECODED)
    seen = _Seen()
    for position, name in enumerate(images):
        data = archive.read(name)
        size = read_size(data, name)
        if position in decoded:
            size = Size(*decode(data, name, "RGB").size)
        if preparation is not None and plan(size, preparation) is None:
            raise too_narrow(name)
        seen.sizes.append(size)
        if position < _DIGESTED:
            seen.digests.append(hashlib.sha256(data).digest())
        reporter.progress(position + 1, len(images), "images")
    return seen


def _columns(sizes: Sequence[Size], indices: tuple[int, ...] | None) -> tuple[ColumnInspection, ...]:
    shape = (len(sizes),)
    image = ColumnInspection(name="image", dtype="image", shape=shape, min=None, max=None, mean=None)
    numbers = {"width": [s.width for s in sizes], "height": [s.height for s in sizes]}
    if indices is not None:
        numbers[LABELS] = list(indices)
    return (image, *(_column(name, values) for name, values in numbers.items()))


def _column(name: str, values: list[int]) -> ColumnInspection:
    mean = sum(values) / len(values)
    return ColumnInspection(name=name, dtype="int64", shape=(len(values),), min=min(values), max=max(values), mean=mean)


def _preview(
    images: tuple[str, ...], sizes: Sequence[Size], labels: tuple[Label, ...] | None
) -> tuple[dict[str, PreviewValue], ...]:
    return tuple(
        {
            "file": quoted(images[i]),
            "width": sizes[i].width,
            "height": sizes[i].height,
            "label": _shown(labels[i]) if labels else None,
        }
        for i in range(min(_PREVIEWED, len(images)))
    )


def _shown(label: Label) -> Label:
    return quoted(label) if isinstance(label, str) else label
