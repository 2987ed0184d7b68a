"""Reading and dividing the rated texts."""

from pathlib import Path

import pytest

from benchmarks.ptq.sentiment import Labelled, read, split


def test_undecided_texts_and_repetitions_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a_GroundTruth.txt").write_text("1\t2.5\tgood\r\n2\t-0.49\tso so\r\n3\t-0.5\tbad \r\n")
    (tmp_path / "b_GroundTruth.txt").write_text("1\t-3\tgood\n2\t0.5\tnice\n")
    (tmp_path / "b_anonDataRatings.txt").write_text("not read")
    assert read(tmp_path) == Labelled(("good", "bad", "nice"), (1, 0, 1))


def test_the_parts_have_no_row_in_common_and_are_the_same_each_time() -> None:
    rows = Labelled(tuple(map(str, range(20))), tuple(number % 2 for number in range(20)))
    parts = split(rows, training=10, evaluation=6, calibration=4)
    texts = [*parts.training.texts, *parts.evaluation.texts, *parts.calibration.texts]
    assert sorted(texts, key=int) == list(rows.texts)
    assert all(
        label == int(text) % 2
        for part in (parts.training, parts.evaluation, parts.calibration)
        for text, label in zip(part.texts, part.labels, strict=True)
    )
    assert parts == split(rows, training=10, evaluation=6, calibration=4)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 \\+ 1 \\+ 1 rows are asked for, 3 are there"):
        split(Labelled(("a", "b", "c"), (0, 1, 0)), training=2, evaluation=1, calibration=1)
