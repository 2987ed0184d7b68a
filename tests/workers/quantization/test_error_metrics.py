import numpy as np
import pytest

from workers.quantization.error_metrics import SqnrAccumulator, sqnr_db


def test_a_tenth_of_the_amplitude_is_twenty_decibels() -> None:
    x = np.float32([1.0, -1.0, 1.0])
    assert sqnr_db(x, x * np.float32(1.1)) == pytest.approx(20.0, abs=1e-4)


def test_equal_arrays_have_no_ratio() -> None:
    assert sqnr_db(np.ones(3), np.ones(3)) is None


def test_a_stream_gives_what_the_whole_gives() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=1001).astype(np.float32)
    y = x + rng.normal(size=1001).astype(np.float32) * 0.01
    accumulator = SqnrAccumulator()
    for part in np.array_split(np.arange(1001), 7):
        accumulator.observe(x[part], y[part])
    assert accumulator.db() == pytest.approx(sqnr_db(x, y))


def test_masked_positions_of_the_reference_do_not_count() -> None:
    x, y = np.float32([1.0, -np.inf]), np.float32([1.1, 0.0])
    assert sqnr_db(x, y) == pytest.approx(20.0, abs=1e-4)


def test_a_candidate_that_breaks_down_gets_the_floor() -> None:
    assert sqnr_db(np.float32([1.0]), np.float32([np.nan])) == -200.0
    assert sqnr_db(np.zeros(2), np.ones(2)) == -200.0
