"""From the bytes of an image that a stranger sent to upright pixels of eight bits, with Pillow.

Only four decoders are tried, whatever the name says. The header is looked at before anything is decoded, and what
Pillow warns of is refused: a warning means that the pixels may not be what their author saw.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.pixels_screening import screen

Mode = Literal["RGB", "L"]

MAX_PIXELS = 8192 * 8192
MAX_SIDE = 65_535
"""What JPEG can say. A longer side would make the tables for resizing large, however narrow the image is."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_ORIENTATION = 0x0112
_TO_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


class Size(NamedTuple):
    width: int
    height: int


def read_size(data: bytes, entry: str) -> Size:
    """The upright size, from the header alone. Raises ProblemFound for what is no image, or is too large."""
    with _opened(data, entry) as image:
        # Pillow would decode a PNG to see whether its EXIF follows the pixels
        known = image.format != "PNG" or "exif" in image.info
        sideways = known and _orientation(image) in _SIDEWAYS
        return Size(image.height, image.width) if sideways else Size(image.width, image.height)


def decode(data: bytes, entry: str, mode: Mode) -> Image.Image:
    """The image upright, in colour or grey. Raises ProblemFound for one that is damaged or cut off.

    Of several frames the first counts. Transparency is dropped and colour profiles are ignored, as in
    `image.convert(mode)`, which is what training code does; of 16 bits the upper 8 stay.
    """
    with _opened(data, entry) as image:
        image.load()
        transpose = _TO_UPRIGHT.get(_orientation(image))
        plain = _converted(image, mode)
        return plain if transpose is None else plain.transpose(transpose)


@contextmanager
def _opened(data: bytes, entry: str) -> Iterator[Image.Image]:
    """The image, not decoded yet, with what Pillow may raise on the way turned into a problem."""
    screen(data, entry)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # phones add pictures behind the first one and describe them wrongly; only the first is read
            warnings.filterwarnings("ignore", "Image appears to be a malformed MPO file")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check_size(image, entry)
                yield image
    except ProblemFound:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(entry) from error
    except UnidentifiedImageError as error:
        raise refuse("image_invalid", "The entry is not an image of a known format.", entry=entry) from error
    except (
        Warning, OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError,
        RuntimeError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        raise refuse("image_invalid", f"The image cannot be read: {quoted(str(error))}.", entry=entry) from error


def _check_size(image: Image.Image, entry: str) -> None:
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise _too_large(entry)


def _too_large(entry: str) -> ProblemFound:
    return refuse(
        "image_invalid",
        f"The image declares more than {MAX_PIXELS:,} pixels, or a side of more than {MAX_SIDE:,}.",
        entry=entry,
        hint="Make it smaller before packing: models look at far fewer pixels.",
    )


def _orientation(image: Image.Image) -> object:
    """The EXIF tag: 1 is upright; anything unknown is taken for upright."""
    return image.getexif().get(_ORIENTATION, 1)


def _converted(image: Image.Image, mode: Mode) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow itself keeps the upper byte of colours of 16 bits when it reads them
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns
    return image if image.mode == mode else image.convert(mode)
