"""Checking bytes against the digest they were promised to have, while they pass by."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from app.storage.errors import ChecksumMismatch

CHUNK_BYTES = 1024 * 1024  # large enough that hashing, not the loop, takes the time


def chunks_of(source: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    while chunk := source.read(chunk_bytes):
        yield chunk


def verified(chunks: Iterable[bytes], sha256: str) -> Iterator[bytes]:
    """The same chunks; after the last, raises `ChecksumMismatch` unless together they have the digest."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise ChecksumMismatch(f"expected sha256 {sha256}, the bytes have {digest.hexdigest()}")


def confirm_stored(source: BinaryIO, *, sha256: str, stored_bytes: int | None) -> None:
    """Make sure that a file is the object that somebody stored before: its digest and the stored size are right."""
    source.seek(0)
    source_bytes = sum(len(chunk) for chunk in verified(chunks_of(source), sha256))
    if stored_bytes != source_bytes:
        raise ChecksumMismatch(f"object {sha256} is damaged: {stored_bytes} bytes are stored, {source_bytes} are right")


class AnnouncedBytes:
    """Counts what arrives, and hashes it where a digest was announced: nothing else here costs as much."""

    def __init__(self, expected_bytes: int, sha256: str | None) -> None:
        self._expected_bytes = expected_bytes
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self.bytes = 0

    def count(self, chunk: bytes) -> None:
        """Raises `ChecksumMismatch` as soon as there are too many."""
        self.bytes += len(chunk)
        if self.bytes > self._expected_bytes:
            raise ChecksumMismatch(f"{self._expected_bytes} bytes were announced, more arrived")
        if self._sha256 is not None:
            self._digest.update(chunk)

    def confirm(self) -> None:
        """Raises `ChecksumMismatch` when there are too few bytes, or when they have another digest."""
        if self.bytes != self._expected_bytes:
            raise ChecksumMismatch(f"{self._expected_bytes} bytes were announced, {self.bytes} arrived")
        if self._sha256 is not None and self._digest.hexdigest() != self._sha256:
            raise ChecksumMismatch(f"expected sha256 {self._sha256}, the bytes have {self._digest.hexdigest()}")
