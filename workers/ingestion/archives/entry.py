"""One file of an archive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    """Relative, of components that are safe to create, joined by '/', in NFC."""
    bytes: int
    """Unpacked. Declared by the archive; reading gives exactly as many, or a problem."""
    offset: int
    """Where its data begins: in the zip, or in the tar once unzipped."""
    packed_bytes: int
    deflated: bool = False
    crc: int | None = None
    """A tar has none."""
