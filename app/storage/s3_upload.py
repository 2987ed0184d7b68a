"""Getting one verified object into a bucket, in one request or in parts, never visible before it is whole."""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from app.storage.staging import MAX_PARTS
from app.storage.verification import chunks_of, verified

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024  # held in memory one at a time; S3 takes 5 MiB and more. Files beyond 78 GiB need more
CONTENT_TYPE = "application/octet-stream"  # nobody's browser should guess that an upload is a page


def upload(client: "S3Client", source: BinaryIO, *, bucket: str, key: str, sha256: str) -> None:
    """Upload `source` under `key` unless something is there.

    Raises `ChecksumMismatch` before anything is visible, and botocore's errors: a precondition that failed means that
    somebody else was first.
    """
    source_bytes = os.fstat(source.fileno()).st_size
    part_bytes = max(PART_BYTES, -(-source_bytes // MAX_PARTS))
    parts = verified(chunks_of(source, part_bytes), sha256)
    if source_bytes <= part_bytes:
        _upload_at_once(client, b"".join(parts), bucket=bucket, key=key)
    else:
        _upload_in_parts(client, parts, bucket=bucket, key=key)


def _upload_at_once(client: "S3Client", body: bytes, *, bucket: str, key: str) -> None:
    client.put_object(
        Bucket=bucket,
        Key=key,
        Body=body,
        ChecksumSHA256=_base64_sha256(body),
        ContentType=CONTENT_TYPE,
        IfNoneMatch="*",
    )


def _upload_in_parts(client: "S3Client", parts: Iterator[bytes], *, bucket: str, key: str) -> None:
    upload_id = client.create_multipart_upload(
        Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256", ContentType=CONTENT_TYPE
    )["UploadId"]
    try:
        done = [
            _upload_part(client, body, bucket=bucket, key=key, upload_id=upload_id, number=number)
            for number, body in enumerate(parts, start=1)
        ]
        client.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": done}, IfNoneMatch="*"
        )
    except BaseException:
        with suppress(BotoCoreError, ClientError):
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        raise


def _upload_part(
    client: "S3Client", body: bytes, *, bucket: str, key: str, upload_id: str, number: int
) -> "CompletedPartTypeDef":
    checksum = _base64_sha256(body)
    answer = client.upload_part(
        Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body, ChecksumSHA256=checksum
    )
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


def _base64_sha256(body: bytes) -> str:
    """S3 compares this with what arrived and refuses the request when they differ."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
