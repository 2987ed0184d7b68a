"""The options that say how text or images become a model's inputs, spelt alike by every command that sends data."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer


class Resize(StrEnum):
    STRETCH = "stretch"
    COVER = "cover"
    CONTAIN = "contain"


class Layout(StrEnum):
    NCHW = "NCHW"
    NHWC = "NHWC"


class Channels(StrEnum):
    RGB = "RGB"
    BGR = "BGR"
    L = "L"


class Size(NamedTuple):
    height: int
    width: int


class Figures(NamedTuple):
    """One for all channels, or one for each."""

    values: tuple[float, ...]


def size_of(text: str) -> Size:
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH, such as 224x224")
    return Size(int(parts[0]), int(parts[1]))


def figures_of(text: str) -> Figures:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in {1, 3} or not all(map(math.isfinite, values)):
        raise typer.BadParameter(f"{text!r} is not one number, or three such as 0.485,0.456,0.406")
    return Figures(values)


def _option(name: str, what: str, **more: Any) -> Any:  # noqa: ANN401 - typer keeps the type private
    return typer.Option(name, help=what, show_default=False, **more)


Text = Annotated[str | None, _option("--text", "Column of text, for the model's own tokenizer.", metavar="COLUMN")]
TextPair = Annotated[
    str | None, _option("--text-pair", "Column of the second of two texts that belong together.", metavar="COLUMN")
]
Label = Annotated[str | None, _option("--label", "Column of the texts' classes.", metavar="COLUMN")]
MaxLength = Annotated[
    int | None, _option("--max-length", "Cut longer texts.  [what the model takes]", metavar="TOKENS", min=1)
]
ImageSize = Annotated[
    Size | None, _option("--image-size", "Size of the model's input: 224x224.", metavar="HxW", parser=size_of)
]
ImageResize = Annotated[Resize | None, _option("--image-resize", "How images get that size.  [cover]")]
ImageMean = Annotated[
    Figures | None,
    _option("--image-mean", "Subtracted from pixels of 0 to 1.  [0]", metavar="A,B,C", parser=figures_of),
]
ImageStd = Annotated[
    Figures | None, _option("--image-std", "Then divided by.  [1]", metavar="A,B,C", parser=figures_of)
]
ImageLayout = Annotated[Layout | None, _option("--image-layout", "The order of the input's axes.  [NCHW]")]
ImageChannels = Annotated[Channels | None, _option("--image-channels", "The input's channels.  [RGB]")]
PreparationFile = Annotated[
    Path | None,
    _option("--preparation", "All of it, as the API's JSON.", metavar="FILE.json", exists=True, dir_okay=False),
]
