"""What a user should know of a zip of images that stops nothing."""

from collections.abc import Sequence

from app.contracts.notice_thresholds import FEW_SAMPLES
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import quoted
from workers.ingestion.data.images_label_file import Label
from workers.ingestion.data.images_labels import numbered_unlike_sorted
from workers.ingestion.data.images_listing import Listing
from workers.ingestion.data.pixels_decoding import Size
from workers.ingestion.data.pixels_geometry import plan
from workers.protocol.reporter import Reporter

_MIXED_PROPORTIONS = 1.5
"""Between the widest and the narrowest image: stretched alike, a circle in one of them is clearly an ellipse."""


def warn_of_images(
    listing: Listing, sizes: Sequence[Size], preparation: ImagePreparation | None, reporter: Reporter
) -> None:
    if listing.ignored:
        reporter.warn(
            "ignored_entries",
            f"{len(listing.ignored)} entries are no images and were left out; the first is "
            f"{quoted(listing.ignored[0])}.",
        )
    if len(sizes) < FEW_SAMPLES:
        reporter.warn(
            "few_samples", f"There are only {len(sizes)} samples; ranges are steadier with {FEW_SAMPLES} or more."
        )
    if preparation is not None:
        _warn_of_resizing(sizes, preparation, reporter)


def warn_of_labels(
    listing: Listing, labels: Sequence[Label], preparation: ImagePreparation | None, reporter: Reporter
) -> None:
    if len(set(labels)) == 1:
        reporter.warn("single_class", f"All images have the label {quoted(str(labels[0]))}.")
    from_folders = listing.label_file is None and (preparation is None or preparation.classes is None)
    if from_folders and numbered_unlike_sorted(labels):
        reporter.warn(
            "numbered_classes",
            "The folders are named by numbers, which are taken as the model's outputs, counted from 0. Where the model "
            "was trained with folders sorted by name, 10 comes before 2: declare `classes` in that order.",
        )


def _warn_of_resizing(sizes: Sequence[Size], preparation: ImagePreparation, reporter: Reporter) -> None:
    proportions = [s.width / s.height for s in sizes]
    if preparation.resize == "stretch" and max(proportions) > _MIXED_PROPORTIONS * min(proportions):
        reporter.warn(
            "mixed_proportions",
            f"Width divided by height is {min(proportions):.2f} to {max(proportions):.2f}, and `stretch` makes all "
            "images alike; `cover` and `contain` keep proportions.",
        )
    enlarged = sum(_is_enlarged(size, preparation) for size in sizes)
    if enlarged:
        reporter.warn(
            "enlarged_images",
            f"{enlarged} of {len(sizes)} images are smaller than what the model takes and become blurred.",
        )


def _is_enlarged(size: Size, preparation: ImagePreparation) -> bool:
    planned = plan(size, preparation)
    return planned is not None and (planned.resized.width > size.width or planned.resized.height > size.height)
