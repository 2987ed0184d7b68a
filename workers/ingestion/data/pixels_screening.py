"""What a picture is made of, counted before a decoder sees it.

A progressive JPEG is decoded in scans, each of which goes over all pixels though it may take a hundred bytes; pieces of
metadata are joined, or unpacked, one by one. Few are usual, and a small file has room for a hundred thousand.
"""

import re

from app.contracts.problem import ProblemFound, refuse

MAX_SCANS = 200
"""Of a JPEG. Cameras and editors write one or about ten."""
MAX_SEGMENTS = 4096
"""Of a JPEG. Metadata lies in pieces of 64 KiB, so these are more than an image may have bytes for."""
MAX_PROFILES = 4
"""Of a PNG, which is allowed one."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PROFILE = b"iCCP"
_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # in a scan, 0xFF also stands before a zero or a mark of restart
_WITHOUT_LENGTH = frozenset({0x01, 0xC8, 0xD8, _END, *range(0xF0, 0xFE)})
"""Not all of them by the standard, but Pillow reads on right behind them, and so must this."""


def screen(data: bytes, entry: str) -> None:
    """Raises ProblemFound for more of anything than a picture has."""
    if data.startswith(_JPEG):
        _screen_jpeg(data, entry)
    if data.startswith(_PNG) and data.count(_PROFILE) > MAX_PROFILES:
        raise _overdone(f"{MAX_PROFILES} colour profiles", entry)


def _screen_jpeg(data: bytes, entry: str) -> None:
    """Up to the end of the first picture: what phones add behind it is not read."""
    position = segments = scans = 0
    while (found := _MARKER.search(data, position)) is not None:
        marker, position = found[1][0], found.end()
        if marker == _END and scans:
            return
        segments += 1
        scans += marker == _SCAN
        if scans > MAX_SCANS:
            raise _overdone(f"{MAX_SCANS} scans", entry)
        if segments > MAX_SEGMENTS:
            raise _overdone(f"{MAX_SEGMENTS} segments", entry)
        if marker not in _WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")


def _overdone(what: str, entry: str) -> ProblemFound:
    return refuse("image_invalid", f"The image has more than {what}.", entry=entry, hint="Save it anew with an editor.")
