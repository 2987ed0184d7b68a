"""How rows of a data set become a model's inputs. Declared once, with the data set, and shown back with it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.contracts.model import Contract

ColumnName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Channel = Annotated[float, Field(ge=-1e6, le=1e6)]
Extent = Annotated[int, Field(ge=1, le=8192)]


class TextPreparation(Contract):
    """Text columns, tokenized with the model's own tokenizer into its integer inputs."""

    kind: Literal["text"] = "text"
    text: ColumnName = "text"
    text_pair: ColumnName | None = None
    """The second of two texts that belong together: hypothesis, question's context."""
    label: ColumnName | None = None
    """Column of classes: integers from 0, or names that `classes` or the model's own configuration puts in order."""
    classes: tuple[Annotated[str, Field(max_length=200)], ...] | None = Field(default=None, max_length=10_000)
    """The names of the classes, in the order of the model's outputs."""
    max_length: int | None = Field(default=None, ge=1, le=16_384)
    """In tokens; longer texts are cut. Default: what the model can take, 512 at most."""
    padding: Literal["longest", "max_length"] = "longest"
    """Of a batch: to its longest text, or always to `max_length`."""


class ImagePreparation(Contract):
    """Images in a zip, decoded, brought to one size and normalised into one float input.

    value = (pixel * scale - mean[channel]) / std[channel], with pixels of 0 to 255. A model whose input is uint8 takes
    the pixels themselves: scale 1, mean 0, std 1.
    """

    kind: Literal["image"] = "image"
    input: ColumnName | None = None
    """The model's input; default: its only one of rank 4."""
    height: Extent
    width: Extent
    resize: Literal["stretch", "cover", "contain"] = "cover"
    """`stretch` changes proportions; `cover` fills the size and crops the middle; `contain` fits in it and pads.

    With `cover`, the image fills a box of height / crop_fraction x width / crop_fraction, and what is more than height
    x width is cut off on all sides. With `contain`, it lies in the upper left corner. Each image is resized once, by
    Pillow, on pixels of eight bits.
    """
    crop_fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    """With `cover`: 0.875 is the usual resize to 256 before a crop of 224."""
    pad_value: float = Field(default=0.0, ge=0.0, le=255.0)
    """With `contain`: the pixel value of the rest, which lies right and below."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR", "L"] = "RGB"
    scale: float = Field(default=1 / 255, gt=0.0, le=1.0)
    mean: tuple[Channel, ...] = Field(default=(0.0,), min_length=1, max_length=3)
    std: tuple[Annotated[float, Field(gt=0.0, le=1e6)], ...] = Field(default=(1.0,), min_length=1, max_length=3)
    """One figure for all channels, or one for each in the order of `channels`."""
    classes: tuple[Annotated[str, Field(max_length=200)], ...] | None = Field(default=None, max_length=10_000)
    """The names of the classes, as folders or labels say them, in the order of the model's outputs.

    Default: the model's own where those are the names; numbers are indices themselves; else sorted by name.
    """

    @model_validator(mode="after")
    def _figures_fit_the_channels(self) -> Self:
        allowed = {1, 1 if self.channels == "L" else 3}
        for name, figures in (("mean", self.mean), ("std", self.std)):
            if len(figures) not in allowed:
                raise ValueError(f"`{name}` has {len(figures)} figures for channels {self.channels}")
        return self


Preparation = Annotated[TextPreparation | ImagePreparation, Field(discriminator="kind")]
