"""What strangers' bytes become: known pixels, or a refusal."""

import io
import pickle
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.pictures import encoded, photographs
from workers.ingestion.data.pixels_decoding import MAX_PIXELS, decode, read_size

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREYS = COLOURS[..., 0]


def pixels(data: bytes, mode: Any = "RGB") -> Any:
    return np.asarray(decode(data, "a.png", mode))


def look_at(data: bytes) -> None:
    read_size(data, "cat/1.png")
    decode(data, "cat/1.png", "RGB")


def refusal(data: bytes) -> Any:
    with pytest.raises(ProblemFound) as found:
        look_at(data)
    problem = found.value.problem
    assert problem.errors[0].entry == "cat/1.png"
    return problem


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_formats_without_loss_give_the_pixels_back(kind: str, options: Any) -> None:
    data = encoded(Image.fromarray(COLOURS), kind, **options)
    assert read_size(data, "x") == (7, 5)
    np.testing.assert_array_equal(pixels(data), COLOURS)


def test_a_photograph_in_jpeg_is_what_pillow_decodes() -> None:
    data = encoded(Image.fromarray(photographs()[0]), "JPEG", quality=95)
    decoded = pixels(data)
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(io.BytesIO(data))))
    assert np.abs(decoded.astype(int) - photographs()[0]).mean() < 3.0


def test_grey_becomes_colour_by_repetition_and_colour_grey_by_the_weights_of_bt601() -> None:
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(GREYS))), np.stack([GREYS] * 3, axis=-1))
    weighted = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(encoded(Image.fromarray(COLOURS)), "L") - weighted).max() <= 0.51


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_transparency_is_dropped_and_the_colour_below_it_stays(mode: Any) -> None:
    alpha = np.full((5, 7, 1), 10, np.uint8)
    with_alpha = encoded(Image.fromarray(np.concatenate([COLOURS, alpha], axis=-1)))
    np.testing.assert_array_equal(pixels(with_alpha, mode), pixels(encoded(Image.fromarray(COLOURS)), mode))
    grey = Image.merge("LA", [Image.fromarray(GREYS), Image.fromarray(alpha[..., 0])])
    np.testing.assert_array_equal(pixels(encoded(grey), mode), pixels(encoded(Image.fromarray(GREYS)), mode))


@pytest.mark.parametrize("transparency", [None, 1, bytes([0, 128, 255])])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_palette_gives_its_colours(transparency: Any, mode: Any) -> None:
    indexed = Image.fromarray((GREYS % 3).astype(np.uint8), "P")
    indexed.putpalette([200, 10, 30, 0, 255, 0, 9, 8, 7])
    data = encoded(indexed) if transparency is None else encoded(indexed, transparency=transparency)
    expected = np.array([[200, 10, 30], [0, 255, 0], [9, 8, 7]], np.uint8)[GREYS % 3]
    np.testing.assert_array_equal(pixels(data, mode), pixels(encoded(Image.fromarray(expected)), mode))


def test_of_sixteen_bits_the_upper_eight_stay_in_grey_as_in_colour() -> None:
    grey = GREYS.astype(np.uint16) << 8 | 0xFF
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(grey)), "L"), GREYS)
    colour = (COLOURS.astype(">u2") << 8 | 0xFF).astype(">u2")
    np.testing.assert_array_equal(pixels(png(7, 5, 16, 2, colour.tobytes())), COLOURS)


def test_one_bit_becomes_black_and_white() -> None:
    bits = Image.fromarray(GREYS > 99)
    np.testing.assert_array_equal(pixels(encoded(bits), "L"), (GREYS > 99) * 255)


def test_cmyk_becomes_the_colours_that_it_prints() -> None:
    inks = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    assert np.abs(pixels(encoded(inks, "JPEG", quality=100)).astype(int) - [0, 255, 255]).max() <= 2
    assert np.abs(pixels(encoded(inks, "JPEG", quality=100), "L").astype(int) - 179).max() <= 2  # 0.701 * 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_as_pillow_would(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(COLOURS), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(pixels(data), np.asarray(upright))
    assert read_size(data, "x") == upright.size == ((5, 7) if orientation > 4 else (7, 5))


def test_an_orientation_that_does_not_exist_means_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(COLOURS), exif=exif)), COLOURS)


def test_the_first_of_several_frames_counts() -> None:
    second = Image.fromarray(255 - COLOURS)
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        data = encoded(Image.fromarray(COLOURS), kind, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(pixels(data), COLOURS)


def test_the_content_decides_and_not_the_name() -> None:
    assert read_size(encoded(Image.fromarray(COLOURS), "JPEG"), "really-a-jpeg.png") == (7, 5)


# refusals


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO", "PDF", "EPS"])
def test_other_formats_are_not_even_tried(kind: str) -> None:
    problem = refusal(encoded(Image.fromarray(COLOURS), kind))
    assert problem.code == "image_invalid"
    assert "not an image of a known format" in problem.detail
    assert "WebP" in problem.hint


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", pickle.dumps({"weights": [1, 2]}), b"<svg/>"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert refusal(data).code == "image_invalid"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_an_image_that_is_cut_off_is_refused(kind: str) -> None:
    data = encoded(Image.fromarray(photographs()[0][:64, :64]), kind)
    assert refusal(data[: len(data) // 2]).code == "image_invalid"
    assert refusal(data[:-40]).code == "image_invalid"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, raw: bytes = b"") -> bytes:
    row = len(raw) // height
    lines = b"".join(b"\0" + raw[i * row : (i + 1) * row] for i in range(height)) if raw else b"\0" * 64
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (8192, 8193),  # one row too many
        (10_000, 9_000),  # where Pillow begins to warn
        (40_000, 40_000),  # where it refuses
        (1, 65_536),
        (2**31 - 1, 2**31 - 1),
    ],
)
def test_a_bomb_is_seen_in_its_header(width: int, height: int) -> None:
    data = png(width, height, 8, 2)
    assert len(data) < 200
    problem = refusal(data)
    assert problem.code == "image_invalid"
    assert f"more than {MAX_PIXELS:,} pixels" in problem.detail


def test_the_largest_image_allowed_passes_the_header() -> None:
    assert read_size(png(8192, 8192, 8, 2), "x") == (8192, 8192)


def test_what_pillow_warns_of_is_refused() -> None:
    # an EXIF block whose directory promises an entry that is not there
    broken = b"Exif\0\0II*\0\x08\0\0\0\x01\0"
    data = encoded(Image.fromarray(COLOURS), "JPEG", exif=broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(data)).getexif()
    assert caught
    assert "EXIF" in refusal(data).detail


@given(st.data())
def test_damaged_images_are_decoded_or_refused_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "WEBP"]))
    image = bytearray(encoded(Image.fromarray(COLOURS), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(image), kind) in {"decoded", "image_invalid"}


def outcome(data: bytes, kind: str) -> str:
    try:
        size = read_size(data, "x")
        assert decode(data, "x", "RGB").size == size or kind == "PNG"  # whose EXIF may follow the pixels
    except ProblemFound as found:
        return found.problem.code
    return "decoded"
