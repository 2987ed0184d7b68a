import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage.staging import MAX_PARTS
from app.uploads.layout import Layout

MEBIBYTE = 1024**2
GIBIBYTE = 1024**3


@given(total_bytes=st.integers(1, 5 * 1024**4))
def test_parts_cover_the_file_exactly_and_suit_s3(total_bytes: int) -> None:
    layout = Layout.of(total_bytes)
    sizes = [layout.bytes_of(number) for number in layout.numbers]
    assert sum(sizes) == total_bytes
    assert len(sizes) <= MAX_PARTS
    assert set(sizes[:-1]) <= {layout.part_bytes}
    assert 0 < sizes[-1] <= layout.part_bytes
    assert layout.part_bytes >= 5 * MEBIBYTE  # or S3 refuses to join them


@pytest.mark.parametrize(
    ("total_bytes", "part_bytes", "count"),
    [
        (1, 16 * MEBIBYTE, 1),
        (16 * MEBIBYTE, 16 * MEBIBYTE, 1),
        (16 * MEBIBYTE + 1, 16 * MEBIBYTE, 2),
        (10 * GIBIBYTE, 16 * MEBIBYTE, 640),  # 10 * 1024 / 16
        (32 * GIBIBYTE, 33 * MEBIBYTE, 993),  # 32 * 1024 / 1000 = 32.8; 32768 / 33 = 992.97
        (64 * GIBIBYTE, 64 * MEBIBYTE, 1024),
    ],
)
def test_sizes_follow_the_file(total_bytes: int, part_bytes: int, count: int) -> None:
    layout = Layout.of(total_bytes)
    assert (layout.part_bytes, layout.part_count) == (part_bytes, count)
