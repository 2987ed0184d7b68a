"""Where files live: uploads, intermediate results and finished variants, named by the sha256 of their bytes.

One protocol (`ObjectStore`), two stores: a local directory and S3. An object is visible only when it is whole and its
digest has been checked; it is never overwritten. Large files arrive in parts through `ObjectStore.uploads`, an
`UploadStaging`. What can go wrong:

    StorageError
    ├── ObjectMissing       no object has this digest for this tenant
    ├── UploadMissing       no upload has this id and handle: aborted, assembled or never begun
    ├── PartsMissing        parts named for assembling have not arrived (`numbers`)
    ├── PartsInvalid        parts named for assembling were sent again since, with other bytes (`numbers`)
    ├── ChecksumMismatch    bytes do not have the digest they were said to have; trying again does not help
    └── StoreUnavailable    the store did not answer, or refused; trying again later may help

Exceptions of boto3 and of the disk below a `DirectoryStore` never escape: an `OSError` concerns the caller's own file.
boto3 is imported only when `store_from_url` is given an `s3://` address.
"""

from app.storage.errors import (
    ChecksumMismatch,
    ObjectMissing,
    PartsInvalid,
    PartsMissing,
    StorageError,
    StoreUnavailable,
    UploadMissing,
)
from app.storage.factory import store_from_url
from app.storage.object_store import ObjectStore, StoredObject
from app.storage.staging import Part, PartWriter, StagedUpload, UploadStaging

__all__ = [
    "ChecksumMismatch",
    "ObjectMissing",
    "ObjectStore",
    "Part",
    "PartWriter",
    "PartsInvalid",
    "PartsMissing",
    "StagedUpload",
    "StorageError",
    "StoreUnavailable",
    "StoredObject",
    "UploadMissing",
    "UploadStaging",
    "store_from_url",
]
