"""From an upright image to one sample of a model's input.

value = (pixel * scale - mean[channel]) / std[channel]

Resizing is Pillow's, on eight bits: a filter as wide as what it shrinks, so that nothing is skipped. That is what
transformers' image processors do; OpenCV's `resize` differs where an image becomes smaller. The formula is evaluated in
float64 for each of the 256 pixel values once, and rounded once, to the input's type.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.contracts.preparation import ImagePreparation
from app.contracts.problem import ProblemFound, refuse
from workers.ingestion.data.pixels_decoding import Mode, Size, decode
from workers.ingestion.data.pixels_geometry import plan

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.generic]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class PixelForm:
    """A preparation made ready for one element type."""

    preparation: ImagePreparation
    values: Values
    """[channels, 256]: what each pixel value becomes."""
    padding: Values
    """[channels]"""

    @property
    def mode(self) -> Mode:
        return "L" if self.preparation.channels == "L" else "RGB"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one sample, in the model's layout."""
        height, width, channels = self.preparation.height, self.preparation.width, len(self.padding)
        return (channels, height, width) if self.preparation.layout == "NCHW" else (height, width, channels)


def pixel_form(preparation: ImagePreparation, dtype: str) -> PixelForm:
    """Raises ProblemFound for figures that make values which the type does not hold."""
    if dtype == "uint8":
        return _unscaled(preparation)
    with np.errstate(over="ignore"):
        values = _normalised(np.arange(256.0), preparation).astype(dtype)
        padding = _normalised(np.array([preparation.pad_value]), preparation)[:, 0].astype(dtype)
    if not (np.isfinite(values).all() and np.isfinite(padding).all()):
        raise refuse(
            "preparation_invalid",
            f"With this `scale`, `mean` and `std`, values become too large for {dtype}.",
            hint="value = (pixel * scale - mean) / std, with pixels of 0 to 255; usual values lie within -3 and 3.",
        )
    return PixelForm(preparation, values, padding)


def read_sample(data: bytes, entry: str, form: PixelForm, out: Values) -> None:
    """Decode one image into `out`, which has the shape of a sample."""
    pixels = fitted(decode(data, entry, form.mode), entry, form.preparation)
    if form.preparation.channels == "BGR":
        pixels = pixels[..., ::-1]
    channels_first = out if form.preparation.layout == "NCHW" else out.transpose(2, 0, 1)
    height, width = pixels.shape[:2]
    for channel, plane in enumerate(channels_first):  # plane: [height, width]
        if (height, width) != plane.shape:
            plane[...] = form.padding[channel]
        plane[:height, :width] = form.values[channel][pixels[..., channel]]


def fitted(image: Image.Image, entry: str, preparation: ImagePreparation) -> Pixels:
    """Resized and cropped, not padded yet: [height, width, channels]."""
    planned = plan(Size(*image.size), preparation)
    if planned is None:
        raise too_narrow(entry)
    if image.size != planned.resized:
        image = image.resize(planned.resized, _RESAMPLING[preparation.interpolation])
    pixels = np.asarray(image)[planned.top :, planned.left :][: planned.seen.height, : planned.seen.width]
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def too_narrow(entry: str) -> ProblemFound:
    return refuse(
        "image_invalid",
        "The image is so long and narrow that it cannot be brought to the preparation's size.",
        entry=entry,
        hint="Leave it out or cut it.",
    )


def _normalised(pixels: npt.NDArray[np.float64], preparation: ImagePreparation) -> npt.NDArray[np.float64]:
    # [n] -> [channels, n]
    channels = 1 if preparation.channels == "L" else 3
    mean = np.broadcast_to(np.array(preparation.mean), channels)[:, np.newaxis]
    std = np.broadcast_to(np.array(preparation.std), channels)[:, np.newaxis]
    values: npt.NDArray[np.float64] = (pixels * preparation.scale - mean) / std
    return values


def _unscaled(preparation: ImagePreparation) -> PixelForm:
    neutral = preparation.scale == 1.0 and set(preparation.mean) == {0.0} and set(preparation.std) == {1.0}
    if not neutral or not preparation.pad_value.is_integer():
        raise refuse(
            "preparation_invalid",
            "The model takes pixels as uint8, so they cannot be scaled.",
            hint="Set scale to 1, mean to [0], std to [1] and pad_value to a whole number.",
        )
    channels = 1 if preparation.channels == "L" else 3
    values = np.tile(np.arange(256, dtype=np.uint8), (channels, 1))
    return PixelForm(preparation, values, np.full(channels, int(preparation.pad_value), np.uint8))
