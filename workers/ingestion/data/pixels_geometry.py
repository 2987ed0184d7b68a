"""Which size an image is resized to, and which part of that the model sees: whole numbers only, no pixels.

stretch: exactly height x width.

cover: the image fills a box of int(height / crop_fraction) x int(width / crop_fraction) and is cropped in the middle.
The side that fits exactly is the box's, the other one is rounded down; so is the offset of the crop. For a square box
this is `shortest_edge` with `center_crop` in transformers.

contain: the image lies inside height x width, in the upper left corner. One side fits exactly, the other one is
rounded up, as text recognition models do it.
"""

from typing import NamedTuple

from app.contracts.preparation import ImagePreparation
from workers.ingestion.data.pixels_decoding import MAX_PIXELS, Size

_FLOAT_ERROR = 1e-9
"""So that a fraction of 9/14, as a float, brings 9 back to 14 and not to 13."""


class Plan(NamedTuple):
    resized: Size
    left: int
    top: int
    seen: Size
    """What is left of `resized` after the crop; with `contain` it may be smaller than the input."""


def plan(source: Size, preparation: ImagePreparation) -> Plan | None:
    """None for an image so long and narrow that resizing it would take more pixels than an image may have."""
    found = _PLANS[preparation.resize](source, preparation)
    # Pillow resizes along the rows first: in between, the image has the new width and the old height
    widened = found.resized.width * max(source.height, found.resized.height)
    return found if widened <= MAX_PIXELS else None


def _stretch(_: Size, preparation: ImagePreparation) -> Plan:
    whole = Size(preparation.width, preparation.height)
    return Plan(whole, 0, 0, whole)


def _cover(source: Size, preparation: ImagePreparation) -> Plan:
    box = Size(*(_divided(side, preparation.crop_fraction) for side in (preparation.width, preparation.height)))
    if source.width * box.height >= source.height * box.width:
        resized = Size(source.width * box.height // source.height, box.height)
    else:
        resized = Size(box.width, source.height * box.width // source.width)
    left, top = (resized.width - preparation.width) // 2, (resized.height - preparation.height) // 2
    return Plan(resized, left, top, Size(preparation.width, preparation.height))


def _contain(source: Size, preparation: ImagePreparation) -> Plan:
    box = Size(preparation.width, preparation.height)
    if source.width * box.height <= source.height * box.width:
        resized = Size(_divided_up(source.width * box.height, source.height), box.height)
    else:
        resized = Size(box.width, _divided_up(source.height * box.width, source.width))
    return Plan(resized, 0, 0, resized)


def _divided(side: int, fraction: float) -> int:
    return int(side / fraction + _FLOAT_ERROR)


def _divided_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


_PLANS = {"stretch": _stretch, "cover": _cover, "contain": _contain}
