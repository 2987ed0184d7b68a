"""The limits on what comes out, to the byte."""

from contextlib import nullcontext

import pytest

from app.contracts.problem import ProblemFound
from workers.ingestion.archives.bomb import check_growth
from workers.ingestion.archives.limits import ArchiveLimits

LIMITS = ArchiveLimits(max_unpacked_bytes=1000, max_ratio=20, ratio_from_bytes=100)


@pytest.mark.parametrize(
    ("unpacked", "packed", "is_bomb"),
    [
        (1000, 1000, False), (1001, 1000, True),  # the limit in bytes
        (100, 1, False), (101, 1, True),  # from where on the ratio counts
        (200, 10, False), (201, 10, True),  # the ratio: 20 times 10
        (100, 0, False), (101, 0, True),  # nothing counts as one byte
    ],
)  # fmt: skip
def test_a_limit_is_what_may_be_reached(unpacked: int, packed: int, is_bomb: bool) -> None:
    with pytest.raises(ProblemFound) if is_bomb else nullcontext():
        check_growth(unpacked, packed, LIMITS)
