"""How the images of a vision model are prepared, from its preprocessor_config.json as far as it can be said in ours.

The library's image processors differ in what a size means. Two integers: stretch to them. `shortest_edge`: keep the
proportions. A crop that follows is from the middle. ConvNeXT's `crop_pct` is a resize to size / crop_pct before it.
What has no counterpart is left out with a warning: a preparation can be declared with each data set.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from app.contracts.preparation import ImagePreparation
from app.contracts.problem import quoted
from workers.ingestion.checkpoint.architectures import PIXELS
from workers.ingestion.checkpoint.config_policy import read_settings
from workers.protocol.reporter import Reporter

PREPROCESSOR_FILE = "preprocessor_config.json"
WARNING = "image_preparation_guessed"

_UNCROPPED = 384
"""From this size on, ConvNeXT images are stretched instead of cropped."""

_INTERPOLATIONS: Mapping[int, Literal["nearest", "bilinear", "bicubic"]] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""By the numbers of Pillow. 1 is Lanczos, 4 box, 5 Hamming."""
_NEAREST_RELATIVE: Mapping[int, Literal["bilinear", "bicubic"]] = {1: "bicubic", 4: "bilinear", 5: "bilinear"}

Settings = Mapping[str, object]


class _Geometry(NamedTuple):
    height: int
    width: int
    resize: Literal["stretch", "cover"]
    crop_fraction: float = 1.0


def image_preparation(folder: Path, *, channels: int, reporter: Reporter) -> ImagePreparation | None:
    """None where the checkpoint does not say. Raises ProblemFound."""
    settings = read_settings(folder, PREPROCESSOR_FILE)
    if settings is None:
        reporter.warn(WARNING, f"The checkpoint has no {PREPROCESSOR_FILE}: data sets must declare their preparation.")
        return None
    try:
        return _preparation(settings, channels, reporter)
    except (ValidationError, TypeError, ValueError, KeyError):
        reporter.warn(WARNING, f"{PREPROCESSOR_FILE} was not understood: data sets must declare their preparation.")
        return None


def _preparation(settings: Settings, channels: int, reporter: Reporter) -> ImagePreparation:
    geometry = _geometry(settings, reporter)
    normalizes = settings.get("do_normalize", True)
    return ImagePreparation(
        input=PIXELS,
        height=geometry.height,
        width=geometry.width,
        resize=geometry.resize,
        crop_fraction=geometry.crop_fraction,
        interpolation=_interpolation(settings, reporter),
        channels="L" if channels == 1 else "RGB",
        scale=_number(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0,
        mean=_figures(settings.get("image_mean"), (0.5, 0.5, 0.5), channels) if normalizes else (0.0,),
        std=_figures(settings.get("image_std"), (0.5, 0.5, 0.5), channels) if normalizes else (1.0,),
    )


def _geometry(settings: Settings, reporter: Reporter) -> _Geometry:
    size = settings.get("size", 224)
    if "crop_pct" in settings:
        return _as_convnext(size, _number(settings["crop_pct"] or 224 / 256))
    crops = settings.get("do_center_crop", False) and settings.get("crop_size") is not None
    if isinstance(size, dict) and "shortest_edge" in size:
        height, width = _pair(settings["crop_size"]) if crops else (_whole(size["shortest_edge"]),) * 2
        if not crops:
            reporter.warn(WARNING, "The model takes images of any proportions; here their middle is cropped square.")
        return _Geometry(height, width, "cover", min(1.0, min(height, width) / _whole(size["shortest_edge"])))
    resized = _pair(size)
    if not crops:
        return _Geometry(*resized, "stretch")
    cropped = _pair(settings["crop_size"])
    if cropped == resized:
        return _Geometry(*cropped, "stretch")
    reporter.warn(WARNING, "Images are stretched before they are cropped; here they keep their proportions.")
    return _Geometry(*cropped, "cover", min(1.0, min(cropped) / min(resized)))


def _as_convnext(size: object, crop_fraction: float) -> _Geometry:
    edge = _whole(size["shortest_edge"]) if isinstance(size, dict) else _whole(size)
    if edge >= _UNCROPPED:
        return _Geometry(edge, edge, "stretch")
    return _Geometry(edge, edge, "cover", crop_fraction)


def _interpolation(settings: Settings, reporter: Reporter) -> Literal["nearest", "bilinear", "bicubic"]:
    number = _whole(settings.get("resample", 2))
    if number in _INTERPOLATIONS:
        return _INTERPOLATIONS[number]
    relative = _NEAREST_RELATIVE[number]
    reporter.warn(WARNING, f"Interpolation {quoted(str(number))} of Pillow is not offered; {relative} is used.")
    return relative


def _pair(found: object) -> tuple[int, int]:
    """(height, width)"""
    if isinstance(found, dict):
        edge = found.get("shortest_edge")
        return (_whole(edge),) * 2 if edge is not None else (_whole(found["height"]), _whole(found["width"]))
    if isinstance(found, list):
        height, width = found
        return _whole(height), _whole(width)
    return (_whole(found),) * 2


def _figures(found: object, usual: tuple[float, ...], channels: int) -> tuple[float, ...]:
    figures = usual[:channels] if found is None else tuple(map(_number, found)) if isinstance(found, list) else None
    if figures is None:
        return (_number(found),)
    return figures


def _whole(found: object) -> int:
    if type(found) is not int:
        raise TypeError("not a whole number")
    return found


def _number(found: object) -> float:
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise TypeError("not a number")
    return float(found)
