"""Objects in a bucket of S3, or of a server that speaks its language (SeaweedFS, MinIO, Ceph).

An upload becomes visible in one step, when it is completed, and that happens only after every byte has been read and
the digest compared. `If-None-Match: *` keeps what is there; a server that ignores it stores the same bytes again. The
digests are our own, so the checksums that boto3 would add by itself, and that some servers refuse, are off.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.storage.byte_range import range_end
from app.storage.errors import ObjectMissing, StoreUnavailable
from app.storage.keys import object_key
from app.storage.s3_upload import upload
from app.storage.verification import chunks_of, confirm_stored, verified
from app.storage.whole_file import write_whole

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.literals import BucketLocationConstraintType

ATTEMPTS = 4  # boto3 waits at most 1, 2 and 4 seconds between them
CONNECTIONS = 50  # a thread that finds none free opens one more and throws it away
NOT_FOUND = {"NoSuchKey", "404"}  # the answer to a HEAD has no body, so its code is the bare status
HOME_REGION = "us-east-1"  # the one region that must not be named when a bucket is made


class S3Store:
    """An `ObjectStore` in one bucket, below `prefix`. Without keys of its own it uses those that boto3 finds."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        session = boto3.Session(access_key_id, secret_access_key, region_name=region)
        with self._s3_errors():
            self._client = _client(session, endpoint_url, attempts=ATTEMPTS, connect_seconds=5, read_seconds=60)
            self._probe = _client(session, endpoint_url, attempts=1, connect_seconds=3, read_seconds=3)

    def put_file(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        with path.open("rb") as source:
            stored_bytes = self.size(tenant_id=tenant_id, sha256=sha256)
            if stored_bytes is not None:
                confirm_stored(source, sha256=sha256, stored_bytes=stored_bytes)
            else:
                self._upload(source, tenant_id=tenant_id, sha256=sha256)

    @contextmanager
    def open(
        self, *, tenant_id: str, sha256: str, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        end = range_end(start, length)
        with self._s3_errors():
            body = self._body(self._key(tenant_id, sha256), start, end)
        with closing(body):
            yield self._read(body)

    def download(self, path: Path, *, tenant_id: str, sha256: str) -> None:
        with self.open(tenant_id=tenant_id, sha256=sha256) as chunks:
            write_whole(path, verified(chunks, sha256))

    def size(self, *, tenant_id: str, sha256: str) -> int | None:
        try:
            with self._s3_errors():
                return self._client.head_object(Bucket=self._bucket, Key=self._key(tenant_id, sha256))["ContentLength"]
        except ObjectMissing:
            return None

    def delete(self, *, tenant_id: str, sha256: str) -> None:
        with suppress(ObjectMissing), self._s3_errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(tenant_id, sha256))

    def check(self) -> None:
        try:
            with self._s3_errors():
                self._probe.head_bucket(Bucket=self._bucket)
        except ObjectMissing as error:
            raise StoreUnavailable(f"the bucket {self._bucket} does not exist") from error

    def create_bucket(self) -> None:
        """Make the bucket unless it is there."""
        try:
            self.check()
        except StoreUnavailable:
            with self._s3_errors(), suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
                self._create_bucket(self._client.meta.region_name)

    def _create_bucket(self, region: str) -> None:
        if region == HOME_REGION:
            self._client.create_bucket(Bucket=self._bucket)
        else:
            place = cast("BucketLocationConstraintType", region)
            self._client.create_bucket(Bucket=self._bucket, CreateBucketConfiguration={"LocationConstraint": place})

    def _key(self, tenant_id: str, sha256: str) -> str:
        return self._prefix + object_key(tenant_id=tenant_id, sha256=sha256)

    def _upload(self, source: BinaryIO, *, tenant_id: str, sha256: str) -> None:
        """Upload, then believe what the bucket shows rather than the answer.

        A refusal is no failure when the object is there: somebody else was first, or our own first attempt succeeded,
        its answer was lost and boto3 tried again.
        """
        try:
            with self._s3_errors():
                upload(self._client, source, bucket=self._bucket, key=self._key(tenant_id, sha256), sha256=sha256)
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
                f"the bucket {self._bucket} accepted {expected_bytes} bytes of {sha256} and shows {shown_bytes}"
            )

    def _body(self, key: str, start: int, end: int | None) -> BinaryIO:
        """HTTP has no range without bytes; for our readers that is an empty body, as it is for a file."""
        if end == start:
            self._client.head_object(Bucket=self._bucket, Key=key)
            return BytesIO()
        last = "" if end is None else end - 1  # HTTP counts the last byte in
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{last}")
        except ClientError as error:
            if _code(error) == "InvalidRange":
                return BytesIO()
            raise
        return cast("BinaryIO", answer["Body"])

    def _read(self, body: BinaryIO) -> Iterator[bytes]:
        with self._s3_errors():
            yield from chunks_of(body)

    @contextmanager
    def _s3_errors(self) -> Iterator[None]:
        """Say in our own words what boto3 reports."""
        try:
            yield
        except ClientError as error:
            if _code(error) in NOT_FOUND:
                raise ObjectMissing(f"no such object in the bucket {self._bucket}") from error
            raise StoreUnavailable(f"the bucket {self._bucket} refused: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"the bucket {self._bucket} cannot be reached: {error}") from error


def _client(
    session: boto3.Session, endpoint_url: str | None, *, attempts: int, connect_seconds: int, read_seconds: int
) -> "S3Client":
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},  # servers in a private network have no name per bucket
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=endpoint_url, config=config)


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
