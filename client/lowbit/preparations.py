"""How the rows of a data set become a model's inputs, as it is declared and shown."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict


class TextPreparation(TypedDict):
    """Text columns, tokenized with the model's own tokenizer. What is left out is the service's default."""

    kind: Literal["text"]
    text: NotRequired[str]
    """The column; default "text"."""
    text_pair: NotRequired[str | None]
    """The second of two texts that belong together."""
    label: NotRequired[str | None]
    """Column of classes: integers from 0, or names."""
    classes: NotRequired[Sequence[str] | None]
    """The names of the classes, in the order of the model's outputs."""
    max_length: NotRequired[int | None]
    """In tokens."""
    padding: NotRequired[Literal["longest", "max_length"]]


class ImagePreparation(TypedDict):
    """Images, decoded, brought to one size and normalised: (pixel * scale - mean[channel]) / std[channel]."""

    kind: Literal["image"]
    height: int
    width: int
    input: NotRequired[str | None]
    """The model's input; default: its only one of rank 4."""
    resize: NotRequired[Literal["stretch", "cover", "contain"]]
    crop_fraction: NotRequired[float]
    pad_value: NotRequired[float]
    interpolation: NotRequired[Literal["nearest", "bilinear", "bicubic"]]
    layout: NotRequired[Literal["NCHW", "NHWC"]]
    channels: NotRequired[Literal["RGB", "BGR", "L"]]
    scale: NotRequired[float]
    mean: NotRequired[Sequence[float]]
    std: NotRequired[Sequence[float]]
    classes: NotRequired[Sequence[str] | None]
    """The folders of each class' images, in the order of the model's outputs."""


Preparation = TextPreparation | ImagePreparation
"""How rows of a data set become a model's inputs."""
