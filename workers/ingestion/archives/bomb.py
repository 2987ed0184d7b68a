"""When an archive unpacks to more than it may. Asked with bytes that really came out, while they come out."""

from app.contracts.problem import refuse
from workers.ingestion.archives.limits import ArchiveLimits


def check_growth(unpacked: int, packed: int, limits: ArchiveLimits, *, entry: str | None = None) -> None:
    """Raises ProblemFound if `packed` bytes have become too many, for one entry or, without `entry`, for them all."""
    what = "The archive" if entry is None else "An entry"
    if unpacked > limits.max_unpacked_bytes:
        raise refuse(
            "archive_bomb", f"{what} unpacks to more than {limits.max_unpacked_bytes} bytes, the limit.", entry=entry
        )
    if unpacked > limits.ratio_from_bytes and unpacked > limits.max_ratio * max(packed, 1):
        raise refuse(
            "archive_bomb",
            f"{what} of {packed} bytes unpacks to more than {limits.max_ratio} times its size.",
            entry=entry,
        )
