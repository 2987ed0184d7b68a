"""Multipart uploads that a bucket holds: who has begun one, which parts arrived, and putting an end to it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from botocore.exceptions import ClientError

from app.storage.errors import UploadMissing
from app.storage.s3_bucket import Bucket, age_seconds, error_code
from app.storage.staging import Part


@dataclass(frozen=True)
class ArrivedPart:
    part: Part
    age_seconds: float


@dataclass(frozen=True)
class BegunUpload:
    key: str
    handle: str
    idle_seconds: float


@contextmanager
def upload_errors(bucket: Bucket) -> Iterator[None]:
    with bucket.errors():
        try:
            yield
        except ClientError as error:
            if error_code(error) == "NoSuchUpload":
                raise UploadMissing(f"no such upload in the bucket {bucket.name}") from error
            raise


def arrived_parts(bucket: Bucket, key: str, handle: str) -> list[ArrivedPart]:
    """By number, the oldest of a number first: SeaweedFS keeps what a later part of the same number replaces.

    Raises `UploadMissing`.
    """
    pages = bucket.client.get_paginator("list_parts").paginate(
        Bucket=bucket.name, Key=bucket.path(key), UploadId=handle
    )
    with upload_errors(bucket):
        found = [
            ArrivedPart(
                Part(item["PartNumber"], item["Size"], item["ETag"].strip('"')), age_seconds(item["LastModified"])
            )
            for page in pages
            for item in page.get("Parts", [])
        ]
    return sorted(found, key=lambda arrived: (arrived.part.number, -arrived.age_seconds))


def begun_uploads(bucket: Bucket, prefix: str) -> Iterator[BegunUpload]:
    pages = bucket.client.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket.name, Prefix=bucket.path(prefix)
    )
    with bucket.errors():
        for page in pages:
            for item in page.get("Uploads", []):
                key, handle = item["Key"].removeprefix(bucket.path("")), item["UploadId"]
                with suppress(UploadMissing):  # it ended meanwhile
                    ages = [arrived.age_seconds for arrived in arrived_parts(bucket, key, handle)]
                    yield BegunUpload(key, handle, min([age_seconds(item["Initiated"]), *ages]))


def abort(bucket: Bucket, key: str, handle: str) -> None:
    """Free its parts; harmless when there is no such upload."""
    with suppress(UploadMissing), upload_errors(bucket):
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=bucket.path(key), UploadId=handle)
