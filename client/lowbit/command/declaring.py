"""The options that declare a preparation, defined once for all commands that send data."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

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
from lowbit.preparations import Preparation


class Declaration(NamedTuple):
    """What the options said."""

    text: TextOptions
    image: ImageOptions
    file: Path | None

    def of(self, sources: Iterable[str]) -> Preparation | None:
        return declared(self.text, self.image, self.file, sources)


def _declaration(  # noqa: PLR0913, PLR0917 - each argument is an option of the command
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
) -> Declaration:
    return Declaration(
        TextOptions(text, text_pair, label, max_length),
        ImageOptions(image_size, image_resize, image_mean, image_std, image_layout, image_channels),
        preparation_file,
    )


_OPTIONS = inspect.signature(_declaration).parameters


def declaring(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options in the place of its parameter `declaration`, which is made of them."""

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 - whatever the command takes
        said = {name: given.pop(name) for name in _OPTIONS}
        command(declaration=_declaration(**said), **given)

    options: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        options += _OPTIONS.values() if name == "declaration" else [parameter]
    # typer reads a command's options from here
    shown = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # known to `inspect` alone
    return run
