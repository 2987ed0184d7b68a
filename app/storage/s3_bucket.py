"""One bucket, or a part of it: its connections, what it shows under a key, and its refusals in our own words.

The digests are our own, so the checksums that boto3 would add by itself, and that some servers refuse, are off.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.storage.errors import ObjectMissing, StoreUnavailable
from app.storage.verification import chunks_of

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

ATTEMPTS = 4  # boto3 waits at most 1, 2 and 4 seconds between them
CONNECTIONS = 50  # a thread that finds none free opens one more and throws it away
NOT_FOUND = {"NoSuchKey", "404"}  # the answer to a HEAD has no body, so its code is the bare status


@dataclass(frozen=True)
class Shown:
    """What the bucket says about one key, without our prefix."""

    key: str
    bytes: int
    etag: str
    age_seconds: float


class Bucket:
    """Without keys of its own it uses those that boto3 finds.

    `public_endpoint_url` is where clients reach the server. Without it they are sent to Amazon's, and nowhere else: an
    `endpoint_url` is often a name that only we can resolve.
    """

    def __init__(
        self,
        name: str,
        *,
        prefix: str = "",
        endpoint_url: str | None = None,
        public_endpoint_url: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        self.name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        session = boto3.Session(access_key_id, secret_access_key, region_name=region)
        with self.errors():
            self.client = _client(session, endpoint_url, attempts=ATTEMPTS, connect_seconds=5, read_seconds=60)
            self.probe = _client(session, endpoint_url, attempts=1, connect_seconds=3, read_seconds=3)
            self._signer = self.client if endpoint_url is None else None
            if public_endpoint_url:
                self._signer = _client(session, public_endpoint_url, attempts=1, connect_seconds=3, read_seconds=3)

    def path(self, key: str) -> str:
        """The key as the server knows it."""
        return self._prefix + key

    def show(self, key: str) -> Shown | None:
        try:
            with self.errors():
                head = self.client.head_object(Bucket=self.name, Key=self.path(key))
        except ObjectMissing:
            return None
        return Shown(key, head["ContentLength"], head["ETag"], age_seconds(head["LastModified"]))

    def list(self, prefix: str) -> Iterator[Shown]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.path(prefix))
        with self.errors():
            for page in pages:
                for found in page.get("Contents", []):
                    key = found["Key"].removeprefix(self._prefix)
                    yield Shown(key, found["Size"], found["ETag"], age_seconds(found["LastModified"]))

    @contextmanager
    def open(self, key: str, start: int = 0, end: int | None = None) -> Iterator[Iterator[bytes]]:
        with self.errors():
            body = self._body(self.path(key), start, end)
        with closing(body):
            yield self._read(body)

    def delete(self, key: str) -> None:
        with self.errors():
            self.client.delete_object(Bucket=self.name, Key=self.path(key))

    def presigned(self, operation: str, key: str, *, expires_seconds: int, **parameters: Any) -> str | None:  # noqa: ANN401 - boto3's own parameters
        """A URL that stands for one request, or None where clients may not reach the server."""
        if self._signer is None:
            return None
        with self.errors():
            return self._signer.generate_presigned_url(
                operation,
                Params={"Bucket": self.name, "Key": self.path(key), **parameters},
                ExpiresIn=expires_seconds,
            )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say in our own words what boto3 reports."""
        try:
            yield
        except ClientError as error:
            if error_code(error) in NOT_FOUND:
                raise ObjectMissing(f"no such object in the bucket {self.name}") from error
            raise StoreUnavailable(f"the bucket {self.name} refused: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"the bucket {self.name} cannot be reached: {error}") from error

    def _body(self, path: str, start: int, end: int | None) -> BinaryIO:
        """HTTP has no range without bytes; for our readers that is an empty body, as it is for a file."""
        if end == start:
            self.client.head_object(Bucket=self.name, Key=path)
            return BytesIO()
        last = "" if end is None else end - 1  # HTTP counts the last byte in
        try:
            answer = self.client.get_object(Bucket=self.name, Key=path, Range=f"bytes={start}-{last}")
        except ClientError as error:
            if error_code(error) == "InvalidRange":
                return BytesIO()
            raise
        return cast("BinaryIO", answer["Body"])

    def _read(self, body: BinaryIO) -> Iterator[bytes]:
        with self.errors():
            yield from chunks_of(body)


def error_code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def age_seconds(then: datetime) -> float:
    return (datetime.now(UTC) - then).total_seconds()


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
