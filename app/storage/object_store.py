"""What a store of content-addressed objects can do."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.storage.staging import UploadStaging


@dataclass(frozen=True)
class StoredObject:
    tenant_id: str
    sha256: str
    bytes: int
    age_seconds: float  # since it was last put; by our clock and the store's, so a grace is far above their difference


class ObjectStore(Protocol):
    """Whole, verified, immutable objects, named by tenant and sha256.

    Safe to share between threads; make one per process, after the fork. Every method may raise `StoreUnavailable`.
    """

    @property
    def uploads(self) -> UploadStaging:
        """Files that are still on their way, in parts."""

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """Store the bytes of `path`, which stays as it is.

        The digest is computed from the bytes that are read, also when the object is there already: a return means that
        this file has this digest and that the store holds it. Twice, or from many processes at once, is harmless.
        An object that was there becomes young again, so that `delete_older` leaves it.

        Raises `ChecksumMismatch` and shows nothing when the bytes have another digest.
        """

    def open(
        self, *, tenant_id: str, sha256: str, start: int = 0, length: int | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes from `start`, `length` of them or all that follow, in chunks; fewer where the object ends before.

        Raises `ObjectMissing` on entry. A part has no digest to check; `download` is the reader that checks.
        """

    def download(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """Copy the object to `path`, which appears (or is replaced) only when whole and verified, with mode 0600.

        Raises `ObjectMissing`, or `ChecksumMismatch` when the stored bytes have been damaged.
        """

    def size(self, *, tenant_id: str, sha256: str) -> int | None:
        """Bytes of the object, or None where there is none."""

    def download_url(self, *, tenant_id: str, sha256: str, filename: str, expires_seconds: int) -> str | None:
        """Where a client may GET the object without credentials, as a download called `filename`.

        None where clients cannot reach the store. Nothing is sent, so a missing object gets a URL too.
        """

    def objects(self) -> Iterator[StoredObject]:
        """Every object of every tenant, in no order; what comes or goes meanwhile may be in it or not."""

    def delete(self, *, tenant_id: str, sha256: str) -> None:
        """Remove the object if it is there.

        A `put_file` that finds the object just before it is deleted returns as if it were stored. Whoever deletes first
        makes sure, in the database, that nobody counts on the object.
        """

    def delete_older(self, older_than_seconds: float, *, tenant_id: str, sha256: str) -> bool:
        """Remove the object unless it was put in the last so many seconds; say whether it was removed. For collectors.

        A directory guarantees that an object outlives every `put_file` and `assemble` that returned in that time.
        A bucket looks and deletes in two requests: an object that lay unused for so long and is put between the two is
        lost. Only the database closes that gap: record a reference and decide to delete under one lock, and look at
        `size` under it before recording. For both, the time must be longer than any takes from `put_file` to its
        recorded reference, and above `s3_copy.RENEWED_AFTER_SECONDS` (an hour).
        """

    def discard_abandoned(self, older_than_seconds: float) -> None:
        """Free what killed processes left of `put_file`, `receive_part` and `abort`: never what others still write to,
        as long as they write something within that time. Uploads that nobody finishes are not meant: `uploads` lists
        them.
        """

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the store answers now; quick, for readiness probes."""
