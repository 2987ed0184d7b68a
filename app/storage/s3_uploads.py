"""Uploads in parts, in a bucket: a multipart upload to a staging key, whose UploadId is the handle.

S3 joins the parts but knows no sha256 of the whole, so the joined file is read once, and what was read is copied to the
key that its digest names.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from app.storage.errors import ObjectMissing, StoreUnavailable, UploadMissing
from app.storage.keys import UPLOADS, object_key, tenant_and_upload, upload_key
from app.storage.s3_bucket import Bucket
from app.storage.s3_copy import copy, renew
from app.storage.s3_multipart import abort, arrived_parts, begun_uploads, upload_errors
from app.storage.s3_upload import CONTENT_TYPE
from app.storage.staging import Part, StagedUpload, require_number, require_parts
from app.storage.verification import AnnouncedBytes, verified

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef


class S3Uploads:
    """An `UploadStaging` in a bucket."""

    def __init__(self, bucket: Bucket, *, scratch_dir: Path | None = None) -> None:
        self._bucket = bucket
        self._scratch_dir = scratch_dir

    def begin(self, *, tenant_id: str, upload_id: str) -> str:
        path = self._bucket.path(upload_key(tenant_id=tenant_id, upload_id=upload_id))
        with self._bucket.errors():
            return self._bucket.client.create_multipart_upload(
                Bucket=self._bucket.name, Key=path, ContentType=CONTENT_TYPE
            )["UploadId"]

    def part_url(
        self, *, tenant_id: str, upload_id: str, handle: str, number: int, part_bytes: int, expires_seconds: int
    ) -> str | None:
        require_number(number)
        return self._bucket.presigned(
            "upload_part",
            upload_key(tenant_id=tenant_id, upload_id=upload_id),
            expires_seconds=expires_seconds,
            UploadId=handle,
            PartNumber=number,
            ContentLength=part_bytes,  # signed too: another length is refused
        )

    @contextmanager
    def receive_part(
        self, *, tenant_id: str, upload_id: str, handle: str, number: int, part_bytes: int, sha256: str | None = None
    ) -> Iterator["_ArrivingPart"]:
        require_number(number)
        key = upload_key(tenant_id=tenant_id, upload_id=upload_id)
        with _disk_errors():
            spool = TemporaryFile(dir=self._scratch_dir, buffering=0)  # noqa: SIM115 - closed below
        with spool:
            yield _ArrivingPart(self._bucket, spool, key, handle, number, AnnouncedBytes(part_bytes, sha256))

    def list_parts(self, *, tenant_id: str, upload_id: str, handle: str) -> list[Part]:
        """Of several with one number the latest; dates count seconds, so of two in one second either."""
        arrived = arrived_parts(self._bucket, upload_key(tenant_id=tenant_id, upload_id=upload_id), handle)
        return list({each.part.number: each.part for each in arrived}.values())

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
        key = upload_key(tenant_id=tenant_id, upload_id=upload_id)
        target_key = object_key(tenant_id=tenant_id, sha256=sha256)
        with suppress(UploadMissing):  # joined by an earlier run, or in a first attempt whose answer was lost
            self._join(key, handle, parts, total_bytes=total_bytes)
        with suppress(ObjectMissing):  # published by an earlier run
            self._publish(key, target_key, sha256=sha256)
        if renew(self._bucket, target_key) != total_bytes:
            raise UploadMissing(f"no such upload in the bucket {self._bucket.name}")
        self._bucket.delete(key)

    def abort(self, *, tenant_id: str, upload_id: str, handle: str) -> None:
        key = upload_key(tenant_id=tenant_id, upload_id=upload_id)
        if handle:
            abort(self._bucket, key, handle)
        with suppress(ObjectMissing):
            self._bucket.delete(key)

    def staged_uploads(self) -> Iterator[StagedUpload]:
        """Those whose parts are joined have no handle any more."""
        for begun in begun_uploads(self._bucket, UPLOADS):
            if names := tenant_and_upload(begun.key):
                yield StagedUpload(*names, handle=begun.handle, idle_seconds=begun.idle_seconds)
        for joined in self._bucket.list(UPLOADS):
            if names := tenant_and_upload(joined.key):
                yield StagedUpload(*names, handle="", idle_seconds=joined.age_seconds)

    def _join(self, key: str, handle: str, parts: Sequence[tuple[int, str]], *, total_bytes: int) -> None:
        held = [arrived.part for arrived in arrived_parts(self._bucket, key, handle)]
        chosen = require_parts(held, parts, total_bytes=total_bytes)
        named: list[CompletedPartTypeDef] = [{"PartNumber": part.number, "ETag": part.etag} for part in chosen]
        with upload_errors(self._bucket):
            self._bucket.client.complete_multipart_upload(
                Bucket=self._bucket.name,
                Key=self._bucket.path(key),
                UploadId=handle,
                MultipartUpload={"Parts": named},
            )

    def _publish(self, key: str, target_key: str, *, sha256: str) -> None:
        """Read what was joined; copy it if it has the digest and nothing is there. Raises `ObjectMissing`."""
        joined = self._bucket.show(key)
        if joined is None:
            raise ObjectMissing(f"nothing is staged under {key}")
        with self._bucket.open(key) as chunks:
            for _ in verified(chunks, sha256):
                pass
        if renew(self._bucket, target_key) is None:
            copy(self._bucket, joined, target_key)


class _ArrivingPart:
    """A `PartWriter`: the part waits in a nameless file until it is whole, then it is sent."""

    def __init__(
        self, bucket: Bucket, spool: BinaryIO, key: str, handle: str, number: int, announced: AnnouncedBytes
    ) -> None:
        self._bucket = bucket
        self._spool = spool
        self._key = key
        self._handle = handle
        self._number = number
        self._announced = announced

    def write(self, chunk: bytes) -> None:
        self._announced.count(chunk)
        rest = memoryview(chunk)
        while rest:
            with _disk_errors():
                rest = rest[self._spool.write(rest) :]

    def finish(self) -> Part:
        self._announced.confirm()
        self._spool.seek(0, os.SEEK_SET)
        with upload_errors(self._bucket):
            answer = self._bucket.client.upload_part(
                Bucket=self._bucket.name,
                Key=self._bucket.path(self._key),
                UploadId=self._handle,
                PartNumber=self._number,
                Body=self._spool,
            )
        return Part(self._number, self._announced.bytes, answer["ETag"].strip('"'))


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"a part cannot wait on the scratch disk: {error.strerror}") from error
