"""Reading and dividing the images of digits."""

import json
from pathlib import Path

import numpy as np

from benchmarks.ptq.digits import read, split


def test_each_image_keeps_its_digit_in_the_part_that_it_falls_into(tmp_path: Path) -> None:
    for digit in range(10):
        # two images of each digit, all of whose pixels say which digit it is
        (tmp_path / f"{digit}.json").write_text(json.dumps({"data": [digit / 10] * 2 * 28 * 28}))
    digits = read(tmp_path)
    assert digits.images.shape == (20, 1, 28, 28)
    assert digits.images.dtype == np.float32
    parts = split(digits, evaluation=6, calibration=5)
    assert [len(part.labels) for part in (parts.training, parts.evaluation, parts.calibration)] == [9, 6, 5]
    for part in (parts.training, parts.evaluation, parts.calibration):
        np.testing.assert_allclose(part.images[:, 0, 3, 4], part.labels / 10, rtol=1e-6)
    labels = np.concatenate([parts.training.labels, parts.evaluation.labels, parts.calibration.labels])
    assert np.bincount(labels).tolist() == [2] * 10
