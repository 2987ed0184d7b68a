"""What a store of content-addressed objects can do."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class ObjectStore(Protocol):
    """Whole, verified, immutable objects, named by tenant and sha256.

    Safe to share between threads; make one per process, after the fork. Every method may raise `StoreUnavailable`.
    """

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        """Store the bytes of `path`, which stays as it is.

        The digest is computed from the bytes that are read, also when the object is there already: a return means that
        this file has this digest and that the store holds it. Twice, or from many processes at once, is harmless.

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

    def delete(self, *, tenant_id: str, sha256: str) -> None:
        """Remove the object if it is there.

        A `put_file` that finds the object just before it is deleted returns as if it were stored. Whoever deletes first
        makes sure, in the database, that nobody counts on the object.
        """

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the store answers now; quick, for readiness probes."""
