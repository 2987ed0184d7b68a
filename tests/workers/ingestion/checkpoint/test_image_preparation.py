import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from app.contracts.preparation import ImagePreparation
from workers.ingestion.checkpoint.image_preparation import image_preparation


@pytest.fixture
def read(tmp_path: Path, reporter: Any) -> Any:
    """A function that returns what the settings come to, and how many warnings there were."""

    def run(settings: Any, channels: int = 3) -> tuple[ImagePreparation | None, int]:
        if settings is not None:
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
        return image_preparation(tmp_path, channels=channels, reporter=reporter), len(reporter.warnings)

    return run


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # google/vit-base-patch16-224
        (
            {"do_resize": True, "size": {"height": 224, "width": 224}, "resample": 2, "image_mean": [0.5] * 3},
            (224, 224, "stretch", 1.0, "bilinear"),
        ),
        # an older form of it
        ({"size": 224, "resample": 2}, (224, 224, "stretch", 1.0, "bilinear")),
        # facebook/dinov2-base
        (
            {
                "size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224},
                "resample": 3, **IMAGENET,
            },
            (224, 224, "cover", 224 / 256, "bicubic"),
        ),
        # facebook/convnext-tiny-224
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}, (224, 224, "cover", 0.875, "bicubic")),
        # facebook/convnext-base-384
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875, "resample": 3}, (384, 384, "stretch", 1.0, "bicubic")),
    ],
)  # fmt: skip
def test_the_settings_of_well_known_models_are_understood(settings: Any, expected: Any, read: Any) -> None:
    found, warnings = read(settings)
    assert (found.height, found.width, found.resize, found.crop_fraction, found.interpolation) == expected
    assert (found.input, found.channels, warnings) == ("pixel_values", "RGB", 0)


def test_values_are_scaled_and_normalised_as_the_library_does_it(read: Any) -> None:
    settings = {"size": {"height": 4, "width": 4}, "resample": 2, "rescale_factor": 1 / 127.5, **IMAGENET}
    found, _ = read(settings)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    processor = ViTImageProcessorPil(**settings)
    theirs = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    ours = (pixels * found.scale - np.array(found.mean)) / np.array(found.std)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_steps_that_are_switched_off_are_left_out(read: Any) -> None:
    found, _ = read({"size": 32, "do_rescale": False, "do_normalize": False, **IMAGENET})
    assert (found.scale, found.mean, found.std) == (1.0, (0.0,), (1.0,))


def test_a_model_of_grey_images_gets_one_channel(read: Any) -> None:
    found, _ = read({"size": 28}, channels=1)
    assert (found.channels, found.mean) == ("L", (0.5,))


@pytest.mark.parametrize(
    ("settings", "resize", "interpolation"),
    [
        ({"size": {"shortest_edge": 224}}, "cover", "bilinear"),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, "cover", "bilinear"),
        ({"size": 224, "resample": 1}, "stretch", "bicubic"),
    ],
)
def test_what_can_only_be_approached_is_said(settings: Any, resize: str, interpolation: str, read: Any) -> None:
    found, warnings = read(settings)
    assert (found.resize, found.interpolation, warnings) == (resize, interpolation, 1)


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {"size": {"longest_edge": 3}},
        {"size": "large"},
        {"size": 10**9},
        {"size": 0},
        {"size": [1, 2, 3]},
        {"size": True},
        {"size": 224, "resample": 77},
        {"size": 224, "image_std": [0.0, 0.0, 0.0]},
        {"size": 224, "image_mean": ["a"]},
        {"size": 224, "image_mean": [0.5, 0.5]},
        {"size": 224, "rescale_factor": "1/255"},
        {"size": 224, "crop_pct": 7},
    ],
    ids=str,
)
def test_what_is_not_understood_is_left_to_the_data_set(settings: Any, read: Any) -> None:
    assert read(settings) == (None, 1)
