"""A zip of images as rows of samples.

Images are read, decoded and normalised one at a time, into the batch: memory holds one batch and one decoded image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.contracts.fit_images import image_input, without_preparation
from app.contracts.inspection import ModelInspection
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import Problem, ProblemFound
from workers.ingestion.data.images_archive import ImageArchive, opened_images
from workers.ingestion.data.images_labels import Classes, class_indices
from workers.ingestion.data.pixels import PixelForm, pixel_form, read_sample
from workers.ingestion.data.samples import LABELS, Batch, SampleColumn
from workers.ingestion.data.text_labels import Warn


@dataclass(frozen=True)
class ImageSamples:
    """Images in the order of their names, and their classes where they have some."""

    path: Path
    input: str
    form: PixelForm
    images: tuple[str, ...]
    labels: tuple[int, ...] | None

    @property
    def num_samples(self) -> int:
        return len(self.images)

    @property
    def columns(self) -> tuple[SampleColumn, ...]:
        samples = SampleColumn(self.input, self.form.values.dtype.name, (self.num_samples, *self.form.shape))
        return (samples,) if self.labels is None else (samples, SampleColumn(LABELS, "int64", (self.num_samples,)))

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        """See `Samples`. Images are not even read when only the labels are asked for."""
        wanted = {c.name for c in self.columns} & (set(names) if names is not None else {self.input, LABELS})
        count = self.num_samples if limit is None else min(limit, self.num_samples)
        with opened_images(self.path) as archive:
            for start in range(0, count, rows):
                stop = min(start + rows, count)
                batch: Batch = {}
                if self.input in wanted:
                    batch[self.input] = self._read(archive, self.images[start:stop])
                if LABELS in wanted and self.labels is not None:
                    batch[LABELS] = np.array(self.labels[start:stop], np.int64)
                yield batch

    def _read(self, archive: ImageArchive, names: tuple[str, ...]) -> npt.NDArray[np.generic]:
        samples = np.empty((len(names), *self.form.shape), self.form.values.dtype)
        for name, sample in zip(names, samples, strict=True):
            read_sample(archive.read(name), name, self.form, sample)
        return samples


def open_images(
    path: Path, preparation: ImagePreparation | None, model: ModelInspection, *, warn: Warn | None = None
) -> ImageSamples:
    """Reads the directory and the labels, no image yet. Raises ProblemFound when the preparation fits no input."""
    preparation = preparation or model.image_preparation
    if preparation is None:
        raise ProblemFound(without_preparation(model))
    spec = image_input(model, preparation)
    if isinstance(spec, Problem):
        raise ProblemFound(spec)
    form = pixel_form(preparation, spec.dtype)
    with opened_images(path) as archive:
        images, labels = archive.listing.images, archive.labels(preparation.classes)
    classes = Classes(preparation.classes, model.classes)
    indices = None if labels is None else class_indices(labels, images, classes, warn)
    return ImageSamples(path, spec.name, form, images, indices)
