import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from workers.pipeline.evaluation.intervals import Z95, paired_difference_interval, wilson_interval


def test_the_quantile_is_scipys() -> None:
    assert pytest.approx(scipy.stats.norm.ppf(0.975), abs=1e-15) == Z95


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 10), (950, 1000), (1, 1), (0, 1)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    expected = scipy.stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_paired_interval_by_hand() -> None:
    # 100 pairs, 2 gained, 5 lost: b = 2.5, c = 5.5, m = 102
    # (2.5 - 5.5) / 102 = -0.0294118;  sqrt(8 - 9/102) / 102 = 0.0275773;  times 1.959964 = 0.0540505
    low, high = paired_difference_interval(2, 5, 100)
    assert low == pytest.approx(-0.0294118 - 0.0540505, abs=1e-5)
    assert high == pytest.approx(-0.0294118 + 0.0540505, abs=1e-5)


def test_no_difference_still_has_a_width_and_is_symmetric() -> None:
    low, high = paired_difference_interval(0, 0, 50)
    # b = c = 1/2, m = 52: 1.959964 * 1 / 52
    assert high == -low == pytest.approx(1.959964 / 52, abs=1e-6)


def test_paired_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n, gain, loss = 200, 0.02, 0.05
    draws = rng.multinomial(n, [gain, loss, 1 - gain - loss], size=4000)
    covered = 0
    for gained, lost, _ in draws:
        low, high = paired_difference_interval(int(gained), int(lost), n)
        covered += low <= gain - loss <= high
    assert 0.93 <= covered / len(draws) <= 0.98


@pytest.mark.parametrize("interval", [lambda: wilson_interval(0, 0), lambda: paired_difference_interval(0, 0, 0)])
def test_nothing_tried_is_no_interval(interval: Any) -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        interval()


def test_intervals_stay_within_what_is_possible() -> None:
    assert paired_difference_interval(1, 0, 1)[1] <= 1.0
    assert paired_difference_interval(0, 1, 1)[0] >= -1.0
    assert all(math.isfinite(v) for v in wilson_interval(3, 3))
