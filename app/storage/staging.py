"""What it takes to receive a file in parts, over hours and several connections, before it is an object."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from app.storage.errors import ChecksumMismatch, PartsInvalid, PartsMissing

MAX_PARTS = 10_000  # S3's limit


@dataclass(frozen=True)
class Part:
    """One whole part that the store holds. A part that is sent again with other bytes gets another `etag`."""

    number: int
    bytes: int
    etag: str  # without quotation marks; the CRC-32 of the part in a directory, S3's own in a bucket


@dataclass(frozen=True)
class StagedUpload:
    """An upload that takes room in the store. One `upload_id` may appear twice, with different handles."""

    tenant_id: str
    upload_id: str
    handle: str
    idle_seconds: float  # since it was begun, or since its last part came


class PartWriter(Protocol):
    """Takes the bytes of one part. Nothing of them is listed before `finish`; leaving the block drops them."""

    def write(self, chunk: bytes) -> None:
        """Raises `ChecksumMismatch` as soon as more bytes come than were announced."""

    def finish(self) -> Part:
        """List the part, on disk, in place of an earlier one of its number.

        Raises `ChecksumMismatch` when there are fewer bytes than announced or their digest is another, and
        `UploadMissing` when the upload was aborted or assembled meanwhile.
        """


class UploadStaging(Protocol):
    """Uploads in progress. The store alone knows which parts exist; nothing is locked.

    Safe to share between threads and processes. Every method may raise `StoreUnavailable`, and `ValueError` for ids
    that are not plain names (1 to 64 letters, digits, '_' and '-') or a part number outside 1 to 10,000.
    """

    def begin(self, *, tenant_id: str, upload_id: str) -> str:
        """Make room for an upload and return its handle, which every later call needs (a directory needs none: '').

        A handle that is lost is found by `staged_uploads`.
        """

    def part_url(
        self, *, tenant_id: str, upload_id: str, handle: str, number: int, part_bytes: int, expires_seconds: int
    ) -> str | None:
        """Where a client may PUT exactly so many bytes as this part, without credentials and with no header of its own.

        None where clients cannot reach the store: their PUT comes to the API, which hands it to `receive_part`.
        Nothing is sent, so an upload that is gone gets a URL too.
        """

    def receive_part(
        self, *, tenant_id: str, upload_id: str, handle: str, number: int, part_bytes: int, sha256: str | None = None
    ) -> AbstractContextManager[PartWriter]:
        """Take one part of exactly so many bytes, and of this digest if one is given: hashing takes more time than the
        rest of receiving. Works for both stores, also where `part_url` gives a URL.

        Two at once for one number leave one whole part, the one that finished last. One that never ends blocks nobody;
        one that is killed leaves a private file for `ObjectStore.discard_abandoned`. Raises `UploadMissing`.
        """

    def list_parts(self, *, tenant_id: str, upload_id: str, handle: str) -> list[Part]:
        """Every whole part, one for each number, by number.

        Raises `UploadMissing` after `abort`, and from some point of `assemble` on.
        """

    def assemble(
        self,
        *,
        tenant_id: str,
        upload_id: str,
        handle: str,
        parts: Sequence[tuple[int, str]],
        sha256: str,
        total_bytes: int,
    ) -> None:
        """Publish these parts (number and etag, by rising number), joined, as the object `sha256`; free the rest.

        All but the last have at least 5 MiB: S3 joins no smaller ones, and says so with `StoreUnavailable`.
        Every byte is read and compared with the digest before anything is visible. Safe to run again after a crash
        at any point, and after success: then it only makes sure that the object is there.

        Raises `PartsMissing` and `PartsInvalid`, which more parts can mend; `ChecksumMismatch`, which nothing can: the
        upload stays until `abort`; `UploadMissing` when there is neither upload nor object.
        """

    def abort(self, *, tenant_id: str, upload_id: str, handle: str) -> None:
        """Free everything the upload holds; harmless when nothing is there. Never touches an object."""

    def staged_uploads(self) -> Iterator[StagedUpload]:
        """Everything that `abort` can free, of all tenants; also what a killed `assemble` left half done."""


def require_number(number: int) -> None:
    if not 1 <= number <= MAX_PARTS:
        raise ValueError(f"a part has a number from 1 to {MAX_PARTS}, not {number}")


def require_parts(held: Sequence[Part], wanted: Sequence[tuple[int, str]], *, total_bytes: int) -> list[Part]:
    """Those of the held parts that are wanted. Some servers hold several of one number until the upload is complete.

    Raises `PartsMissing` or `PartsInvalid`, or `ChecksumMismatch` when together they cannot be the file.
    """
    numbers = [number for number, _ in wanted]
    if not numbers or numbers != sorted(set(numbers)):
        raise ValueError("parts are given once each, by rising number, and there is at least one")
    if missing := tuple(sorted(set(numbers) - {part.number for part in held})):
        raise PartsMissing(missing)
    by_name = {(part.number, part.etag): part for part in held}
    names = [(number, etag.strip('"')) for number, etag in wanted]
    if invalid := tuple(name[0] for name in names if name not in by_name):
        raise PartsInvalid(invalid)
    chosen = [by_name[name] for name in names]
    if (held_bytes := sum(part.bytes for part in chosen)) != total_bytes:
        raise ChecksumMismatch(f"the parts have {held_bytes} bytes together, {total_bytes} were announced")
    return chosen
