"""Pictures of a few hundred kilobytes that would keep a decoder busy for minutes."""

import io
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.pictures import encoded, photographs
from workers.ingestion.data.pixels_decoding import decode, read_size
from workers.ingestion.data.pixels_screening import MAX_PROFILES, MAX_SCANS, MAX_SEGMENTS

EMPTY_PROFILE = zlib.compress(b"")


def progressive() -> bytes:
    return encoded(Image.fromarray(photographs()[0]), "JPEG", progressive=True)


def with_scans(data: bytes, count: int) -> bytes:
    """With its last scan, which refines what is known, so often that there are `count`."""
    end = len(data) - 2
    scan = data[data.rindex(b"\xff\xda") : end]
    return data[:end] + scan * (count - data.count(b"\xff\xda")) + data[end:]


def with_segments(data: bytes, marker: int, body: bytes, count: int) -> bytes:
    return data[:2] + (struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body) * count + data[2:]


def with_profiles(count: int) -> bytes:
    plain = encoded(Image.fromarray(photographs()[0]))
    content = b"iCCP" + b"k\0\0" + EMPTY_PROFILE
    chunk = struct.pack(">L", len(content) - 4) + content + struct.pack(">L", zlib.crc32(content))
    return plain[:33] + chunk * count + plain[33:]


def refusal(data: bytes) -> Any:
    with pytest.raises(ProblemFound) as found:
        read_size(data, "cat/1.jpg")
    problem = found.value.problem
    assert (problem.code, problem.errors[0].entry) == ("image_invalid", "cat/1.jpg")
    return problem.detail


def test_a_jpeg_has_so_many_scans_and_no_more() -> None:
    data = progressive()
    plain = np.asarray(decode(data, "a", "RGB"))
    assert np.asarray(decode(with_scans(data, MAX_SCANS), "a", "RGB")).shape == plain.shape
    assert refusal(with_scans(data, MAX_SCANS + 1)) == "The image has more than 200 scans."


def test_pieces_of_exif_are_not_joined_without_end() -> None:
    """Pillow copies what it has with every piece: the square of their number."""
    assert (
        refusal(with_segments(progressive(), 0xE1, b"Exif\0\0x", MAX_SEGMENTS))
        == "The image has more than 4096 segments."
    )
    assert read_size(with_segments(progressive(), 0xFE, b"a comment", 100), "a") == (640, 427)


def segments_of(data: bytes) -> int:
    """Counted from one to the next, up to the mark that ends the picture."""
    position, count = 2, 1
    while (marker := data[position + 1]) != 0xD9:
        count += 1
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        while marker == 0xDA and (data[position] != 0xFF or data[position + 1] in {0, *range(0xD0, 0xD8)}):
            position += 1
    return count


def test_a_jpeg_has_so_many_segments_and_no_more() -> None:
    plain = progressive()
    room = MAX_SEGMENTS - segments_of(plain)
    assert read_size(with_segments(plain, 0xFE, b"a comment", room), "a") == (640, 427)
    assert refusal(with_segments(plain, 0xFE, b"a comment", room + 1)) == "The image has more than 4096 segments."


@pytest.mark.parametrize("marker", [0x01, 0xC8, 0xD8, 0xD9, 0xF0, 0xFD])
def test_nothing_hides_behind_a_marker_whose_length_pillow_does_not_read(marker: int) -> None:
    """Taken for a length, the next marker would skip 65,505 bytes, and the segments that lie there."""
    pieces = with_segments(b"\xff\xd8", 0xE1, b"Exif\0\0x", 4000)[2:]
    hidden = bytes([0xFF, marker]) + pieces
    data = progressive()
    assert "segments" in refusal(data[:2] + hidden * 2 + data[2:])


def test_what_follows_the_picture_does_not_count() -> None:
    """A phone's film, say."""
    data = progressive()
    assert read_size(data + b"\xff\xda\0\2" * 10_000, "a") == read_size(data, "a")


def test_a_png_has_few_colour_profiles() -> None:
    assert read_size(with_profiles(1), "a") == (640, 427)
    assert read_size(with_profiles(MAX_PROFILES), "a") == (640, 427)
    assert refusal(with_profiles(MAX_PROFILES + 1)) == "The image has more than 4 colour profiles."


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 1}, {"restart_marker_blocks": 1}, {"optimize": True}]
)
def test_what_pillow_writes_passes(options: Any) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photographs()[1]).save(
        buffer, "JPEG", exif=b"Exif\0\0" + b"\xff\xda" * 300, icc_profile=bytes(200_000), **options
    )
    assert len(re.findall(b"\xff\xda", buffer.getvalue())) > MAX_SCANS
    assert read_size(buffer.getvalue(), "a").width == 640
