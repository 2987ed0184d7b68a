"""Copies inside a bucket. The server makes them; no byte comes here."""

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from app.storage.errors import ObjectMissing
from app.storage.s3_bucket import Bucket, Shown
from app.storage.s3_upload import CONTENT_TYPE
from app.storage.staging import MAX_PARTS

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef

PIECE_BYTES = 256 * 1024 * 1024  # a slow server copies so many before our patience (60 s) ends; S3's limit is 5 GiB
RENEWED_AFTER_SECONDS = 3600  # an object younger than this is young enough


def copy(bucket: Bucket, source: Shown, target_key: str) -> None:
    """Copy exactly what was `shown`; it becomes visible when it is whole.

    Raises `ObjectMissing` when the source is gone, and `StoreUnavailable` when it is another by now.
    """
    with bucket.errors():
        if source.bytes <= PIECE_BYTES:
            bucket.client.copy_object(
                Bucket=bucket.name,
                Key=bucket.path(target_key),
                CopySource=_place(bucket, source),
                CopySourceIfMatch=source.etag,
                MetadataDirective="REPLACE",  # S3 copies nothing onto itself unless something changes: its date does
                ContentType=CONTENT_TYPE,
            )
        else:
            _copy_in_pieces(bucket, source, bucket.path(target_key))


def renew(bucket: Bucket, key: str) -> int | None:
    """Make the object young; its bytes, or None where there is none. S3 dates only what is written."""
    shown = bucket.show(key)
    if shown is not None and shown.age_seconds > RENEWED_AFTER_SECONDS:
        try:
            copy(bucket, shown, key)
        except ObjectMissing:
            return None
    return shown.bytes if shown else None


def _copy_in_pieces(bucket: Bucket, source: Shown, path: str) -> None:
    client = bucket.client
    upload_id = client.create_multipart_upload(Bucket=bucket.name, Key=path, ContentType=CONTENT_TYPE)["UploadId"]
    piece_bytes = max(PIECE_BYTES, -(-source.bytes // MAX_PARTS))
    try:
        done = [
            _copy_piece(bucket, source, path, upload_id, number, (start, min(start + piece_bytes, source.bytes) - 1))
            for number, start in enumerate(range(0, source.bytes, piece_bytes), start=1)
        ]
        client.complete_multipart_upload(
            Bucket=bucket.name, Key=path, UploadId=upload_id, MultipartUpload={"Parts": done}
        )
    except BaseException:
        with suppress(BotoCoreError, ClientError):
            client.abort_multipart_upload(Bucket=bucket.name, Key=path, UploadId=upload_id)
        raise


def _copy_piece(
    bucket: Bucket, source: Shown, path: str, upload_id: str, number: int, first_and_last: tuple[int, int]
) -> "CompletedPartTypeDef":
    first, last = first_and_last
    answer = bucket.client.upload_part_copy(
        Bucket=bucket.name,
        Key=path,
        UploadId=upload_id,
        PartNumber=number,
        CopySource=_place(bucket, source),
        CopySourceRange=f"bytes={first}-{last}",
        CopySourceIfMatch=source.etag,
    )
    return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}


def _place(bucket: Bucket, source: Shown) -> "CopySourceTypeDef":
    return {"Bucket": bucket.name, "Key": bucket.path(source.key)}
