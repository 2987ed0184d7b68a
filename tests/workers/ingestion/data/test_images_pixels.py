"""The arithmetic from an image to a sample, against the processors that models were trained with."""

import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from rapidocr.ch_ppocr_rec.main import TextRecognizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from app.contracts.preparation import ImagePreparation
from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.pictures import encoded, noise, photographs
from workers.ingestion.data.pixels import fitted, pixel_form, read_sample
from workers.ingestion.data.pixels_decoding import MAX_PIXELS, MAX_SIDE, Size
from workers.ingestion.data.pixels_geometry import plan

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
UNSCALED = {"scale": 1.0}


def prepared(image: Image.Image, dtype: str = "float32", **preparation: Any) -> Any:
    form = pixel_form(ImagePreparation(**preparation), dtype)
    out = np.full(form.shape, 99, dtype)
    read_sample(encoded(image), "a.png", form, out)
    return out


def photograph(index: int = 0) -> Image.Image:
    return Image.fromarray(photographs()[index])


# against transformers, which computes in float32: its three roundings make up to 6e-7, divided by a std of 0.22


@pytest.mark.parametrize("image", [photograph(), photograph(1).transpose(Image.Transpose.ROTATE_90), noise(50, 31)])
def test_stretched_images_are_those_of_the_vision_transformer(image: Any) -> None:
    theirs = ViTImageProcessorPil()(image, return_tensors="np")["pixel_values"][0]
    ours = prepared(image, height=224, width=224, resize="stretch", mean=(0.5,), std=(0.5,))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("image", [photograph(), photograph(1).transpose(Image.Transpose.ROTATE_90), noise(50, 31)])
def test_covered_images_are_those_of_clip(image: Any) -> None:
    processor = CLIPImageProcessorPil()
    theirs = processor(image, return_tensors="np")["pixel_values"][0]
    figures = {"mean": tuple(processor.image_mean), "std": tuple(processor.image_std)}
    ours = prepared(image, height=224, width=224, resize="cover", interpolation="bicubic", **figures)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("crop", [0.875, 0.9, 0.95, 1.0])
def test_a_crop_fraction_is_that_of_convnext(crop: float) -> None:
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 160}, crop_pct=crop)
    theirs = processor(photograph(), return_tensors="np")["pixel_values"][0]
    figures = {"mean": tuple(processor.image_mean), "std": tuple(processor.image_std)}
    ours = prepared(photograph(), height=160, width=160, crop_fraction=crop, interpolation="bicubic", **figures)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


# against RapidOCR, whose text recognition takes lines 48 pixels high


def text_line(height: int) -> Image.Image:
    image = Image.new("RGB", (height * 5, height), "white")
    font = ImageFont.load_default(size=height * 0.7)
    ImageDraw.Draw(image).text((height // 5, height // 10), "Lowbit 42", fill=(20, 40, 90), font=font)
    return image


@pytest.mark.parametrize(
    ("height", "mean_difference", "largest"),
    [
        (48, 1e-6, 1e-6),  # nothing to resize
        (24, 0.0005, 0.008),  # enlarged: the same weights, but OpenCV's have 11 bits: one step of 127.5 at most
        (60, 0.01, 0.35),  # made smaller: Pillow's filter is wider, OpenCV skips pixels; edges of letters differ
    ],
)
def test_contained_text_is_prepared_nearly_as_by_rapidocr(height: int, mean_difference: float, largest: float) -> None:
    image = text_line(height)
    blue_green_red = np.asarray(image)[..., ::-1]
    recognizer = SimpleNamespace(rec_image_shape=[3, 48, 320])
    theirs = TextRecognizer.resize_norm_img(recognizer, blue_green_red, 320 / 48)
    ours = prepared(
        image, height=48, width=320, resize="contain", channels="BGR", mean=(0.5,), std=(0.5,), pad_value=127.5
    )
    difference = np.abs(ours - theirs)
    assert difference.mean() <= mean_difference
    assert difference.max() <= largest
    np.testing.assert_array_equal(ours[:, :, 240:], 0.0)  # their padding is 0 after normalisation


def test_an_average_over_areas_lies_closer_to_ours_than_opencvs_default() -> None:
    """Which is the reason for it: quantization ranges should see what shrinking leaves, not what it skips."""
    image = photograph()
    ours = fitted(image, "x", ImagePreparation(height=53, width=80, resize="stretch")).astype(float)
    area = cv2.resize(np.asarray(image), (80, 53), interpolation=cv2.INTER_AREA).astype(float)
    skipping = cv2.resize(np.asarray(image), (80, 53), interpolation=cv2.INTER_LINEAR).astype(float)
    assert np.abs(ours - area).mean() < 0.5 * np.abs(ours - skipping).mean()


# arithmetic


def test_the_formula_is_evaluated_exactly_and_rounded_once() -> None:
    image = noise(6, 4)
    ours = prepared(image, height=4, width=6, scale=0.017, mean=(0.3, -1.5, 2.0), std=(0.2, 3.0, 0.7))
    for channel, (mean, std) in enumerate([(0.3, 0.2), (-1.5, 3.0), (2.0, 0.7)]):
        for y, x in np.ndindex(4, 6):
            pixel = image.getpixel((x, y))[channel]  # type: ignore[index]
            assert ours[channel, y, x] == np.float32((pixel * 0.017 - mean) / std)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_layout_and_order_of_channels(channels: str, layout: str) -> None:
    image = noise(6, 4)
    figures = {"mean": (1.0, 2.0, 3.0), "std": (1.0, 10.0, 100.0)}
    expected = np.asarray(image)[..., :: 1 if channels == "RGB" else -1].astype(float)
    expected = (expected - figures["mean"]) / figures["std"]
    ours = prepared(image, height=4, width=6, channels=channels, layout=layout, **figures, **UNSCALED)
    np.testing.assert_allclose(ours.transpose(1, 2, 0) if layout == "NCHW" else ours, expected, rtol=1e-6)


def test_one_channel_of_grey() -> None:
    image = photograph().crop((0, 0, 20, 10))
    ours = prepared(image, height=10, width=20, channels="L", mean=(0.25,), std=(2.0,))
    np.testing.assert_allclose(ours[0], (np.asarray(image.convert("L")) / 255 - 0.25) / 2, rtol=1e-6, atol=1e-9)


def test_padding_lies_right_and_below_and_is_normalised_like_a_pixel() -> None:
    white = Image.new("RGB", (10, 40), "white")
    ours = prepared(white, height=20, width=20, resize="contain", pad_value=51, mean=(0.1, 0.2, 0.3), std=(0.5,))
    np.testing.assert_allclose(ours[:, :, :5], np.broadcast_to([[[1.8]], [[1.6]], [[1.4]]], (3, 20, 5)), rtol=1e-6)
    np.testing.assert_allclose(
        ours[:, :, 5:], np.broadcast_to([[[0.2]], [[0.0]], [[-0.2]]], (3, 20, 15)), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_the_interpolation_is_pillows(interpolation: str) -> None:
    ours = prepared(photograph(), height=60, width=80, resize="stretch", interpolation=interpolation, **UNSCALED)
    resampling = getattr(Image.Resampling, interpolation.upper())
    np.testing.assert_array_equal(ours.transpose(1, 2, 0), np.asarray(photograph().resize((80, 60), resampling)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_have_the_type_of_the_input(dtype: str) -> None:
    ours = prepared(noise(4, 4), dtype, height=4, width=4, **IMAGENET)
    exact = prepared(noise(4, 4), "float64", height=4, width=4, **IMAGENET)
    np.testing.assert_array_equal(ours, exact.astype(dtype))


def test_a_model_that_takes_bytes_gets_the_pixels_themselves() -> None:
    image = noise(6, 4)
    ours = prepared(image, "uint8", height=4, width=9, resize="contain", layout="NHWC", pad_value=7, **UNSCALED)
    np.testing.assert_array_equal(ours[:, :6], np.asarray(image))
    np.testing.assert_array_equal(ours[:, 6:], 7)


@pytest.mark.parametrize(
    "figures", [{}, UNSCALED | {"mean": (1.0,)}, UNSCALED | {"std": (2.0,)}, UNSCALED | {"pad_value": 0.5}]
)
def test_bytes_cannot_be_scaled(figures: Any) -> None:
    with pytest.raises(ProblemFound, match="preparation_invalid") as found:
        pixel_form(ImagePreparation(height=4, width=4, **figures), "uint8")
    assert "scale to 1" in (found.value.problem.hint or "")


@pytest.mark.parametrize(("std", "dtype"), [(1e-300, "float32"), (5e-324, "float64"), (1e-6, "float16")])
def test_figures_that_make_infinities_are_refused(std: float, dtype: str) -> None:
    with pytest.raises(ProblemFound, match="preparation_invalid"):
        pixel_form(ImagePreparation(height=4, width=4, std=(std,)), dtype)


# geometry

SIDES = st.integers(1, 400)


@pytest.mark.parametrize("resize", ["stretch", "cover", "contain"])
@given(width=SIDES, height=SIDES, wanted=st.tuples(st.integers(1, 40), st.integers(1, 40)), data=st.data())
def test_images_of_any_size_keep_the_shape_and_the_range(
    resize: Any, width: int, height: int, wanted: Any, data: st.DataObject
) -> None:
    crop = data.draw(st.floats(0.1, 1.0))
    interpolation = data.draw(st.sampled_from(["nearest", "bilinear", "bicubic"]))
    image = Image.linear_gradient("L").resize((width, height))
    ours = prepared(
        image, height=wanted[0], width=wanted[1], resize=resize, crop_fraction=crop, interpolation=interpolation,
        channels="L", pad_value=255.0,
    )  # fmt: skip
    assert ours.shape == (1, *wanted)
    assert 0.0 <= ours.min() <= ours.max() <= 1.0


@given(st.integers(1, 2000), st.data())
def test_a_fraction_that_is_a_ratio_of_sizes_brings_the_larger_one_back(larger: int, data: st.DataObject) -> None:
    smaller = data.draw(st.integers(-(-larger // 8), larger))
    given_as_float = ImagePreparation(height=smaller, width=smaller, crop_fraction=smaller / larger)
    planned = plan(Size(larger, larger), given_as_float)
    assert planned is not None
    assert planned.resized == (larger, larger)


@given(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.integers(1, 300), st.integers(1, 300), st.floats(0.2, 1))
def test_covering_never_shows_what_lies_outside(width: int, height: int, h: int, w: int, crop: float) -> None:
    planned = plan(Size(width, height), ImagePreparation(height=h, width=w, crop_fraction=crop))
    if planned is not None:
        assert planned.left >= 0
        assert planned.top >= 0
        assert planned.left + w <= planned.resized.width
        assert planned.top + h <= planned.resized.height
        # one side is the box's, and proportions are kept to a pixel
        assert planned.resized.width - int(w / crop) in {0, 1} or planned.resized.height - int(h / crop) in {0, 1}
        assert math.isclose(planned.resized.width, width * planned.resized.height / height, abs_tol=1 + width / height)


@given(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.integers(1, 300), st.integers(1, 300))
def test_containing_fills_one_side_and_keeps_proportions(width: int, height: int, h: int, w: int) -> None:
    planned = plan(Size(width, height), ImagePreparation(height=h, width=w, resize="contain"))
    if planned is not None:
        found = planned.resized
        assert (found.width == w and 1 <= found.height <= h) or (found.height == h and 1 <= found.width <= w)
        exact = (width * h / height, h) if found.height == h else (w, height * w / width)
        assert 0 <= found.width - exact[0] < 1 or found.width == w
        assert 0 <= found.height - exact[1] < 1 or found.height == h


@pytest.mark.parametrize(
    ("size", "preparation"),
    [
        ((1, MAX_SIDE), {"height": 224, "width": 224}),  # 14,679,840 pixels high before the crop
        ((MAX_SIDE, 1), {"height": 224, "width": 224}),
        ((1000, MAX_SIDE), {"height": 2, "width": 8192, "resize": "stretch"}),  # in between 8,192 x 65,535
    ],
)
def test_an_image_that_would_grow_without_bound_on_the_way_has_no_plan(size: Any, preparation: Any) -> None:
    assert plan(Size(*size), ImagePreparation(**preparation)) is None


def test_such_an_image_is_refused_with_its_name() -> None:
    with pytest.raises(ProblemFound, match="long and narrow") as found:
        fitted(Image.new("RGB", (1, MAX_SIDE)), "a/b.png", ImagePreparation(height=224, width=224))
    assert found.value.problem.errors[0].entry == "a/b.png"


@pytest.mark.parametrize("resize", ["stretch", "cover", "contain"])
def test_the_largest_square_image_has_a_plan(resize: Any) -> None:
    side = math.isqrt(MAX_PIXELS)
    assert plan(Size(side, side), ImagePreparation(height=side, width=side, resize=resize)) is not None
