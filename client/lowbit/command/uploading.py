"""`lowbit models upload` and `lowbit datasets upload`."""

from typing import Annotated

import typer

from lowbit.command.facts import print_one
from lowbit.command.options import Format, FormatOption
from lowbit.command.preparation import ImageOptions, TextOptions, declared
from lowbit.command.preparation_options import (
    ImageChannels,
    ImageLayout,
    ImageMean,
    ImageResize,
    ImageSize,
    ImageStd,
    Label,
    MaxLength,
    PreparationFile,
    Text,
    TextPair,
)
from lowbit.command.progress import display
from lowbit.command.session import connected
from lowbit.command.sources import dataset_path, model_path

NameOption = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A name to find it by.  [the path's]")]


def upload_model(
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="An ONNX file, an archive, or a folder with a model.", callback=model_path),
    ],
    name: NameOption = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Upload a model and wait until it is inspected."""
    with connected(output) as client:
        with display(output) as shown:
            model = client.models.upload(path, name, on_progress=shown.transfer, on_packed=shown.packing)
        print_one(model, output)


def upload_dataset(  # noqa: PLR0913, PLR0917 - each argument is an option of the command
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Arrays, a table, or a folder of images.", callback=dataset_path)
    ],
    name: NameOption = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    max_length: MaxLength = None,
    image_size: ImageSize = None,
    image_resize: ImageResize = None,
    image_mean: ImageMean = None,
    image_std: ImageStd = None,
    image_layout: ImageLayout = None,
    image_channels: ImageChannels = None,
    preparation_file: PreparationFile = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Upload a data set and wait until it is inspected."""
    texts = TextOptions(text, text_pair, label, max_length)
    images = ImageOptions(image_size, image_resize, image_mean, image_std, image_layout, image_channels)
    preparation = declared(texts, images, preparation_file, [path])
    with connected(output) as client:
        with display(output) as shown:
            dataset = client.datasets.upload(
                path, name, preparation=preparation, on_progress=shown.transfer, on_packed=shown.packing
            )
        print_one(dataset, output)
