"""Objects in a bucket of S3, or of a server that speaks its language (SeaweedFS, MinIO, Ceph).

An upload becomes visible in one step, when it is completed, and that happens only after every byte has been read and
the digest compared. `If-None-Match: *` keeps what is there; a server that ignores it stores the same bytes again.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import quote

from app.storage.byte_range import range_end
from app.storage.errors import ObjectMissing, StoreUnavailable
from app.storage.keys import OBJECTS, object_key, tenant_and_digest
from app.storage.object_store import StoredObject
from app.storage.s3_bucket import Bucket
from app.storage.s3_copy import renew
from app.storage.s3_multipart import abort, begun_uploads
from app.storage.s3_upload import CONTENT_TYPE, upload
from app.storage.s3_uploads import S3Uploads
from app.storage.verification import confirm_stored, verified
from app.storage.whole_file import write_whole

if TYPE_CHECKING:
    from types_boto3_s3.literals import BucketLocationConstraintType

HOME_REGION = "us-east-1"  # the one region that must not be named when a bucket is made


class S3Store:
    """An `ObjectStore` in one bucket. Parts that come through us wait in `scratch_dir` until they are whole."""

    def __init__(self, bucket: Bucket, *, scratch_dir: Path | None = None) -> None:
        self._bucket = bucket
        self.uploads = S3Uploads(bucket, scratch_dir=scratch_dir)

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        with path.open("rb") as source:
            stored_bytes = self._renewed_bytes(object_key(tenant_id=tenant_id, sha256=sha256))
            if stored_bytes is not None:
                confirm_stored(source, sha256=sha256, stored_bytes=stored_bytes)
            else:
                self._upload(source, tenant_id=tenant_id, sha256=sha256)

    def open(
        self, *, tenant_id: str, sha256: str, start: int = 0, length: int | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._bucket.open(object_key(tenant_id=tenant_id, sha256=sha256), start, range_end(start, length))

    def download(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        with self.open(tenant_id=tenant_id, sha256=sha256) as chunks:
            write_whole(path, verified(chunks, sha256))

    def size(self, *, tenant_id: str, sha256: str) -> int | None:
        shown = self._bucket.show(object_key(tenant_id=tenant_id, sha256=sha256))
        return shown.bytes if shown else None

    def download_url(self, *, tenant_id: str, sha256: str, filename: str, expires_seconds: int) -> str | None:
        return self._bucket.presigned(
            "get_object",
            object_key(tenant_id=tenant_id, sha256=sha256),
            expires_seconds=expires_seconds,
            ResponseContentDisposition=f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
            ResponseContentType=CONTENT_TYPE,
        )

    def objects(self) -> Iterator[StoredObject]:
        for shown in self._bucket.list(OBJECTS):
            if names := tenant_and_digest(shown.key):
                yield StoredObject(*names, bytes=shown.bytes, age_seconds=shown.age_seconds)

    def delete(self, *, tenant_id: str, sha256: str) -> None:
        with suppress(ObjectMissing):
            self._bucket.delete(object_key(tenant_id=tenant_id, sha256=sha256))

    def delete_older(self, older_than_seconds: float, *, tenant_id: str, sha256: str) -> bool:
        key = object_key(tenant_id=tenant_id, sha256=sha256)
        shown = self._bucket.show(key)
        if shown is None or shown.age_seconds < older_than_seconds:
            return False
        self._bucket.delete(key)
        return True

    def discard_abandoned(self, older_than_seconds: float) -> None:
        """Uploads of `put_file` and of copies: each shows a sign of life with every part."""
        for begun in begun_uploads(self._bucket, OBJECTS):
            if begun.idle_seconds > older_than_seconds:
                abort(self._bucket, begun.key, begun.handle)

    def check(self) -> None:
        try:
            with self._bucket.errors():
                self._bucket.probe.head_bucket(Bucket=self._bucket.name)
        except ObjectMissing as error:
            raise StoreUnavailable(f"the bucket {self._bucket.name} does not exist") from error

    def create_bucket(self) -> None:
        """Make the bucket unless it is there. A server that is silent is given up within seconds, as in `check`."""
        client = self._bucket.probe
        try:
            self.check()
        except StoreUnavailable:
            with self._bucket.errors(), suppress(client.exceptions.BucketAlreadyOwnedByYou):
                self._create_bucket(client.meta.region_name)

    def _create_bucket(self, region: str) -> None:
        name = self._bucket.name
        if region == HOME_REGION:
            self._bucket.probe.create_bucket(Bucket=name)
        else:
            place = cast("BucketLocationConstraintType", region)
            self._bucket.probe.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": place})

    def _renewed_bytes(self, key: str) -> int | None:
        """The size of an object that nobody finds old from here on, or None where there is none."""
        return renew(self._bucket, key)

    def _upload(self, source: BinaryIO, *, tenant_id: str, sha256: str) -> None:
        """Upload, then believe what the bucket shows rather than the answer.

        A refusal is no failure when the object is there: somebody else was first, or our own first attempt succeeded,
        its answer was lost and boto3 tried again.
        """
        path = self._bucket.path(object_key(tenant_id=tenant_id, sha256=sha256))
        try:
            with self._bucket.errors():
                upload(self._bucket.client, source, bucket=self._bucket.name, key=path, sha256=sha256)
        except StoreUnavailable:
            stored_bytes = self.size(tenant_id=tenant_id, sha256=sha256)
            if stored_bytes is None:
                raise
            confirm_stored(source, sha256=sha256, stored_bytes=stored_bytes)
        else:
            self._require_shown(os.fstat(source.fileno()).st_size, tenant_id=tenant_id, sha256=sha256)

    def _require_shown(self, expected_bytes: int, *, tenant_id: str, sha256: str) -> None:
        shown_bytes = self.size(tenant_id=tenant_id, sha256=sha256)
        if shown_bytes != expected_bytes:
            raise StoreUnavailable(
                f"the bucket {self._bucket.name} accepted {expected_bytes} bytes of {sha256} and shows {shown_bytes}"
            )
