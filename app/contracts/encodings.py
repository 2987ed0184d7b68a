"""Text that is not UTF-8: where that shows, and how to write it anew."""

import codecs

RE_ENCODE = (
    "Save it as UTF-8 (in Excel: CSV UTF-8), or convert it: iconv -f WINDOWS-1252 -t UTF-8 old > new. "
    "With pandas: frame.to_csv(path, index=False, encoding='utf-8')."
)
FROM_UTF_16 = "Save it as UTF-8 (in Excel: CSV UTF-8), or convert it: iconv -f UTF-16 -t UTF-8 old > new."

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""The longer ones first: that of UTF-32 begins with that of UTF-16."""


def marked_encoding(head: bytes) -> str | None:
    """What a byte order mark says, if it is not that of UTF-8."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def is_wide(data: bytes) -> bool:
    """Every other byte of mostly Western text in UTF-16 is zero, and no byte of UTF-8 ever is."""
    zeros = max(data[0::2].count(0), data[1::2].count(0))
    return 4 * zeros > len(data) and min(data[0::2].count(0), data[1::2].count(0)) == 0


def undecodable(data: bytes, at: int) -> str:
    """`at` is the first byte that cannot be; Windows and older systems write one byte for each letter."""
    return f"byte 0x{data[at]:02X} at position {at + 1} (it may be Latin-1 or Windows-1252)"
