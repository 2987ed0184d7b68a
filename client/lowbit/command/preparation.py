"""The `preparation` of a data set, from options. What contradicts itself is found before anything is sent."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import typer

from lowbit.command.preparation_options import Channels, Figures, Layout, Resize, Size
from lowbit.command.sources import is_id
from lowbit.preparations import ImagePreparation, Preparation, TextPreparation

TABLES = (".jsonl", ".csv", ".parquet")


class TextOptions(NamedTuple):
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    max_length: int | None = None


class ImageOptions(NamedTuple):
    size: Size | None = None
    resize: Resize | None = None
    mean: Figures | None = None
    std: Figures | None = None
    layout: Layout | None = None
    channels: Channels | None = None


def declared(text: TextOptions, image: ImageOptions, file: Path | None, sources: Iterable[str]) -> Preparation | None:
    """What the options declare for all of the data that is uploaded; None where they say nothing."""
    given = _names(text, "--") + _names(image, "--image-")
    if file is not None and given:
        _refuse(f"--preparation says everything; {given[0]} beside it contradicts it")
    if any(value is not None for value in text) and any(value is not None for value in image):
        _refuse(f"{', '.join(given)}: data is text or images, not both")
    preparation = _from_file(file) if file is not None else _of_text(text) or _of_images(image)
    if preparation is not None:
        _require_fit(preparation, list(sources))
    return preparation


def _names(options: TextOptions | ImageOptions, prefix: str) -> list[str]:
    found = options._asdict().items()
    return [prefix + name.replace("_", "-") for name, value in found if value is not None]


def _of_text(options: TextOptions) -> TextPreparation | None:
    said = {name: value for name, value in options._asdict().items() if value is not None}
    return cast(TextPreparation, {"kind": "text", **said}) if said else None


def _of_images(options: ImageOptions) -> ImagePreparation | None:
    said: dict[str, Any] = {name: value for name, value in options._asdict().items() if value is not None}
    if not said:
        return None
    if options.size is None:
        _refuse(f"{_names(options, '--image-')[0]} needs --image-size HxW")
    for name in ("mean", "std"):
        if name in said:
            said[name] = _for_channels(f"--image-{name}", said[name].values, options.channels)
    if options.std is not None and min(options.std.values) <= 0:
        _refuse("--image-std must be above 0")
    del said["size"]
    return cast(ImagePreparation, {"kind": "image", **options.size._asdict(), **said})


def _for_channels(option: str, figures: tuple[float, ...], channels: Channels | None) -> list[float]:
    if channels is Channels.L and len(figures) != 1:
        _refuse(f"{option} has {len(figures)} numbers, and --image-channels L is one channel")
    return list(figures)


def _from_file(path: Path) -> Preparation:
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError) as error:
        _refuse(f"{path} is not JSON: {error}")
    if not isinstance(found, dict) or found.get("kind") not in ("text", "image"):
        _refuse(f'{path} is no preparation: that is an object with "kind": "text" or "image"')
    return cast(Preparation, found)


def _no_number(name: str) -> NoReturn:
    """Python reads NaN and Infinity as JSON; JSON does not."""
    raise ValueError(f"{name} is no number")


def _require_fit(preparation: Preparation, sources: list[str]) -> None:
    """Of ids nothing is known here; their data sets have been declared already."""
    sent = [source for source in sources if not is_id(source)]
    if not sent:
        _refuse("a preparation is declared when data is uploaded, and this data was; `lowbit datasets show` shows it")
    for source in sent:
        if preparation["kind"] == "text" and not source.lower().endswith(TABLES):
            _refuse(f"{source!r} is no text; that is in {', '.join(TABLES)} files")
        if preparation["kind"] == "image" and not (source.lower().endswith(".zip") or Path(source).is_dir()):
            _refuse(f"{source!r} holds no images; they are in a folder or a .zip")


def _refuse(why: str) -> NoReturn:
    raise typer.BadParameter(why)
