"""The errors of object storage; `app.storage` draws the tree."""


class StorageError(Exception):
    """Anything that went wrong between us and the stored bytes."""


class ObjectMissing(StorageError):
    """No object has this digest for this tenant."""


class UploadMissing(StorageError):
    """There is no such upload: it was never begun, or was aborted, or has been assembled."""


class PartsMissing(StorageError):
    """Parts of an upload have not arrived."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__(f"parts that have not arrived: {_few(numbers)}")
        self.numbers = numbers


class PartsInvalid(StorageError):
    """Parts of an upload are not the ones that were named: their etags differ."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__(f"parts that are there with another etag: {_few(numbers)}")
        self.numbers = numbers


class ChecksumMismatch(StorageError):
    """The bytes do not have the digest, or the number, they were said to have."""


class StoreUnavailable(StorageError):
    """The store did not answer, or refused to."""


def _few(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
