"""The errors of object storage; `app.storage` draws the tree."""


class StorageError(Exception):
    """Anything that went wrong between us and the stored bytes."""


class ObjectMissing(StorageError):
    """No object has this digest for this tenant."""


class ChecksumMismatch(StorageError):
    """The bytes do not have the digest they were said to have."""


class StoreUnavailable(StorageError):
    """The store did not answer, or refused to."""
