"""Each upload is held against the two copies around it."""

from benchmarks.service.upload import UploadFigures

FIGURES = UploadFigures(
    file_bytes=4,
    part_bytes=1,
    upload_seconds=4.0,
    client_upload_seconds=10.0,
    verification_seconds=7.0,
    copies_seconds=(2.0, 4.0, 6.0),
    rss_before_mb=120.0,
    rss_highest_mb=134.5,
    api_cpu_seconds=3.0,
    load_averages=(1.0, 1.0, 1.0),
)


def test_an_upload_is_compared_with_the_copies_before_and_after_it() -> None:
    assert FIGURES.throughput_ratio == 0.75  # (2 + 4) / 2 seconds of copying over 4 of uploading
    assert FIGURES.client_throughput_ratio == 0.5  # (4 + 6) / 2 over 10


def test_memory_growth_is_counted_from_just_before_the_upload() -> None:
    assert FIGURES.rss_growth_mb == 14.5
